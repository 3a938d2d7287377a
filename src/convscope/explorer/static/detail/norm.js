// Norms: batch normalisation, and local response normalisation across channels.

import { single } from "convscope/arithmetic.js";
import { equation } from "convscope/detail/equation.js";
import { formula, fraction, m, row as line, sum } from "convscope/detail/math.js";
import { createSlide, workbench } from "convscope/detail/slide.js";
import { activations, channelMap, weightsOf } from "convscope/detail/tensors.js";
import { h, replace } from "convscope/dom.js";
import { number } from "convscope/format.js";
import { matrix } from "convscope/grid.js";

/** Ioffe & Szegedy, arXiv 1502.03167: in evaluation with the running mean and variance that training left. */
export async function showBatchNorm(subject) {
  const { row, channel, source, output } = subject;
  const [name] = row.inputs;
  const [input, parts] = await Promise.all([activations(source, name), weightsOf(source, row, channel)]);
  const keys = ["weight", "bias", "running_mean", "running_var"];
  const [weight, bias, mean, variance] = keys.map((key) => parts[key].data[0]);
  const { eps } = row.settings;
  const deviation = Math.sqrt(variance + eps);
  const map = channelMap(input, channel);
  const result = channelMap(output, channel);
  const steps = h("div", { class: "steps" });

  function onPixel(y, x) {
    const at = y * result.width + x;
    const centred = map.data[at] - mean;
    replace(steps,
      equation(["", map.data[at], "input"], ["−", mean, "running mean"], ["=", centred, "centred"]),
      equation(
        ["", centred, "centred"], ["÷", deviation, "√(running variance + ε)"],
        ["=", centred / deviation, "normalised"]),
      equation(["", centred / deviation, "normalised"], ["·", weight, "weight"], ["+", bias, "bias"],
        ["=", result.data[at], `output in row ${y}, column ${x}`]));
    return `Row ${y}, column ${x}: input ${number(map.data[at])}, output ${number(result.data[at])}.`;
  }

  const slide = createSlide({
    inputs: [{ label: `${name}, channel ${channel}`, map, windowAt: single }],
    output: { label: `${row.name}, channel ${channel}`, map: result },
    subject, onPixel,
  });
  const normalised = fraction(line("x", "−", "mean"), m("msqrt", line("variance", "+", "ε")));
  return h("section", {},
    h("div", { class: "explain" },
      formula("output", "=", normalised, "·", "weight", "+", "bias"),
      h("p", { class: "soft" },
        "The channel's mean and variance are those that training has seen, on average; weight and bias are learnt. "
        + `Here the variance is ${number(variance)} and ε is ${number(eps)}, which keeps the root from 0.`)),
    workbench(slide.element, steps));
}

/** Krizhevsky, Sutskever, Hinton, 2012, §3.3: neighbours among the channels make a value smaller. */
export async function showResponseNorm(subject) {
  const { row, channel, source, output } = subject;
  const { size, alpha, beta, k } = row.settings;
  const [name] = row.inputs;
  const input = await activations(source, name);
  const map = channelMap(input, channel);
  const result = channelMap(output, channel);
  const first = Math.max(0, channel - Math.floor(size / 2));
  const last = Math.min(input.shape[0] - 1, channel + Math.floor((size - 1) / 2));
  const near = Array.from({ length: last - first + 1 }, (_, i) => channelMap(input, first + i));
  const steps = h("div", { class: "steps" });

  function onPixel(y, x) {
    const at = y * result.width + x;
    const values = near.map(({ data }) => data[at]);
    const squares = values.reduce((total, value) => total + value * value, 0);
    const base = k + (alpha / size) * squares;
    replace(steps,
      matrix({
        caption: `channels ${first} to ${last} in this place`, values, columns: values.length, marked: channel - first,
      }),
      equation(["", squares, "sum of their squares"], ["·", alpha / size, "α / n"], ["+", k, "k"], ["=", base, "base"]),
      equation(["", map.data[at], "input"], ["·", base ** -beta, `base to the power of −${number(beta)}`],
        ["=", result.data[at], `output in row ${y}, column ${x}`]));
    return `Row ${y}, column ${x}: input ${number(map.data[at])}, output ${number(result.data[at])}.`;
  }

  const slide = createSlide({
    inputs: [{ label: `${name}, channel ${channel}`, map, windowAt: single }],
    output: { label: `${row.name}, channel ${channel}`, map: result },
    subject, onPixel,
  });
  const square = m("msup", m("mi", "x"), m("mn", "2"));
  const base = line("(", "k", "+", fraction("α", "n"), sum("neighbours"), square, ")");
  return h("section", {},
    h("div", { class: "explain" },
      formula("output", "=", "x", "·", m("msup", base, line("−", "β"))),
      h("p", { class: "soft" },
        `A value is made smaller where the ${size} channels around it are strong in the same place.`)),
    workbench(slide.element, steps));
}
