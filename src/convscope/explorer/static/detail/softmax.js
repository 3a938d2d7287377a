// From logits to probabilities.

import * as api from "convscope/api.js";
import { range } from "convscope/colour.js";
import { equation } from "convscope/detail/equation.js";
import { formula, fraction, m, row as line, sub, sum } from "convscope/detail/math.js";
import { bar, figures } from "convscope/detail/tables.js";
import { h } from "convscope/dom.js";
import { number, whole } from "convscope/format.js";

const SHOWN = 20; // classes

/** The likeliest classes and the one that is looked at, marked; the probabilities are what PyTorch computed. */
export async function showSoftmax({ output, channel, classes, source }) {
  const answer = await api.json("overview", source);
  const probabilities = answer.probabilities.map((share) => share ?? NaN); // JSON knows no NaN
  const [, largest] = range(output.data);
  const powers = Array.from(output.data, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((one, power) => one + power, 0);
  const order = [...classes.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
  const shown = order.filter((k, place) => place < SHOWN || k === channel);
  const one = (k) => h("tr", { "aria-current": k === channel ? "true" : null },
    h("th", { scope: "row" }, classes[k]),
    [output.data[k], output.data[k] - largest, powers[k]].map((value) => h("td", {}, number(value))),
    h("td", {}, number(probabilities[k])),
    h("td", { class: "bar-cell" }, bar(probabilities[k], "plain")));
  const power = (index) => m("msup", m("mi", "e"), sub("z", index));
  return h("section", { class: "softmax" },
    h("h3", {}, "Softmax: from logits to probabilities"),
    h("div", { class: "explain" },
      formula(sub("p", "i"), "=", fraction(line(power("i")), line(sum("j"), power("j")))),
      h("p", { class: "soft" },
        "The largest logit is subtracted first: the shares stay the same, and no power grows too large for a number.")),
    equation(
      ["", powers[channel], `e^(${number(output.data[channel])} − ${number(largest)})`],
      ["÷", total, "sum of all classes"],
      ["=", probabilities[channel], `probability of ${classes[channel]}`]),
    figures({ heads: ["class", "logit", "logit − max", "e to that power", "probability", ""], rows: shown.map(one) }),
    h("p", { class: "soft", hidden: shown.length === order.length },
      `and ${whole(order.length - shown.length)} classes that are less likely`));
}
