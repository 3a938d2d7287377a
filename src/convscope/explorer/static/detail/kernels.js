// The input channels of a convolution as a list to choose from: channel ∗ kernel = result.

import { h, replace } from "convscope/dom.js";
import { number, whole } from "convscope/format.js";
import { rangeOf, signed, thumbnail } from "convscope/grid.js";

const SHOWN = 16;

/** {element, write(sums)}: `parts` as in convolution.js; `write` shows each channel's sum of products at one pixel. */
export function createParts(parts, kernels, [height, width], onChoose) {
  const results = signed(parts.flatMap(({ product }) => rangeOf(product.data)));
  const cells = [];
  const buttons = [];
  const list = h("div", { class: "parts" });
  const rest = h("p");
  let sums = [];

  function one(part, k) {
    cells[k] = h("span", { class: "value" });
    buttons[k] = h("button", { type: "button", class: "part", onclick: () => { press(k); onChoose(k); } },
      h("span", { class: "index" }, part.index),
      thumbnail(part.map, rangeOf(part.map.data), `channel ${part.index}`),
      h("span", { "aria-hidden": "true" }, "∗"),
      thumbnail({ data: part.kernel, height, width }, kernels, "kernel", 36),
      h("span", { "aria-hidden": "true" }, "="),
      thumbnail(part.product, results, "result"),
      cells[k]);
    return buttons[k];
  }

  function press(chosen) {
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === chosen)));
  }

  function fill(count) {
    replace(list, parts.slice(0, count).map(one));
    const left = parts.length - count;
    const all = h("button", { type: "button", onclick: () => { fill(parts.length); write(sums); } }, "Show all");
    replace(rest, left > 0 ? [`The other ${whole(left)} have smaller results. `, all] : null);
  }

  function write(values) {
    sums = values;
    cells.forEach((cell, k) => (cell.textContent = number(sums[k])));
  }

  fill(SHOWN);
  press(0);
  return { element: h("div", {}, list, rest), write };
}
