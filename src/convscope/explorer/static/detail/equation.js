// What a number is made of, as a line of terms: a sum of products, plus a bias, gives the value of the output.

import { h } from "convscope/dom.js";
import { number } from "convscope/format.js";

/** Terms are [sign before it, value, what it is]; the value of the last one is what PyTorch computed. */
export function equation(...terms) {
  return h("p", { class: "equation" }, terms.map(([sign, value, name], k) => [
    sign ? h("span", { class: "sign" }, sign) : null,
    h("span", { class: k === terms.length - 1 ? "term result" : "term" },
      h("span", { class: "value" }, typeof value === "number" ? number(value) : value),
      h("span", { class: "soft" }, name)),
  ]));
}
