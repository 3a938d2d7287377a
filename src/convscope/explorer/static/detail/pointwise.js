// Layers that look at one value at a time: activations with their curve, those that do nothing, the image itself.

import { activation, single } from "convscope/arithmetic.js";
import { equation } from "convscope/detail/equation.js";
import { createSlide, workbench } from "convscope/detail/slide.js";
import { activations, channelMap } from "convscope/detail/tensors.js";
import { h, replace, svg } from "convscope/dom.js";
import { number } from "convscope/format.js";
import { rangeOf } from "convscope/grid.js";

const SENTENCES = {
  ReLU: "What is negative becomes 0; the rest passes.",
  LeakyReLU: "What is negative is made small; the rest passes.",
  SiLU: "Also called Swish: nearly x where x is large, nearly 0 where it is very negative, and smooth in between.",
  GELU: "Φ is the share of a normal distribution below x: what is large passes, what is very negative becomes 0.",
  Sigmoid: "Any number becomes one between 0 and 1.",
  Tanh: "Any number becomes one between −1 and 1.",
};

/** What becomes of x, as terms of an equation. */
const TERMS = {
  ReLU: (x) => [["", `max(0, ${number(x)})`, "ReLU"]],
  LeakyReLU: (x, y, { slope }) => [["", x, "input"], ["·", x < 0 ? slope : 1, x < 0 ? "slope" : "not negative"]],
  SiLU: (x) => [["", x, "input"], ["÷", 1 + Math.exp(-x), "1 + e⁻ˣ"]],
  GELU: (x, y) => [["", x, "input"], ["·", x === 0 ? 0.5 : y / x, "Φ(x)"]],
  Sigmoid: (x) => [["", 1, ""], ["÷", 1 + Math.exp(-x), `1 + e⁻ˣ, x = ${number(x)}`]],
  Tanh: (x) => [["", `tanh(${number(x)})`, "hyperbolic tangent"]],
};

/** How one speaks of a place in a map; a vector is wrapped into rows, so a place in it is a unit. */
function placeName({ shape }, map, y, x) {
  return shape.length === 1 ? `Unit ${y * map.width + x}` : `Row ${y}, column ${x}`;
}

export async function showActivation(subject) {
  const { kind, settings } = subject.row;
  return showPairs(subject, (before, after) => [
    Number.isFinite(before) ? curve(activation(kind, settings), before, after, `The curve of ${kind}`) : null,
    equation(...TERMS[kind](before, after, settings), ["=", after, "output"]),
  ], SENTENCES[kind]);
}

export async function showUnchanged(subject) {
  const { row } = subject;
  const sentence = row.kind === "Dropout"
    ? `In training this layer sets ${number(100 * row.settings.p)}% of the values to 0, chosen by chance, so that the `
      + "network learns to rely on none alone. Now that training is over it passes everything on as it is."
    : "This layer passes everything on as it is; variants of the network have a layer here that does something.";
  return showPairs(subject, (before, after) => equation(["", before, "input"], ["=", after, "output"]), sentence);
}

/** A map before and after, pixel by pixel. */
async function showPairs(subject, describe, sentence) {
  const { row, channel, source, output } = subject;
  const [name] = row.inputs;
  const map = channelMap(await activations(source, name), channel);
  const result = channelMap(output, channel);
  const steps = h("div", { class: "steps" });
  const label = (which) => (row.shape.length === 3 ? `${which}, channel ${channel}` : which);

  function onPixel(y, x) {
    const [before, after] = [map, result].map(({ data }) => data[y * result.width + x]);
    const place = placeName(row, map, y, x);
    replace(steps, h("p", { class: "soft" }, place), describe(before, after));
    return `${place}: input ${number(before)}, output ${number(after)}.`;
  }

  const slide = createSlide({
    inputs: [{ label: label(name), map, windowAt: single }],
    output: { label: label(row.name), map: result },
    subject: startingAtUnit(subject, result), count: realCount(output, result), onPixel,
  });
  return h("section", {}, h("p", { class: "explain soft" }, sentence), workbench(slide.element, steps));
}

/** In a vector, the unit chosen is the place to begin with. */
function startingAtUnit(subject, map) {
  if (subject.row.shape.length === 3) return subject;
  return { ...subject, place: [Math.floor(subject.channel / map.width), subject.channel % map.width], remember() {} };
}

/** How many cells of a map hold values; a vector's last row may have gaps. */
function realCount({ shape, data }, map) {
  return shape.length === 1 ? data.length : map.data.length;
}

/** The function around zero with the point on it. */
function curve(f, before, after, label) {
  const [width, height] = [240, 150];
  const reach = Math.max(3, Math.abs(before) * 1.15);
  const points = Array.from({ length: 121 }, (_, k) => ((k - 60) / 60) * reach).map((x) => [x, f(x)]);
  const [low, high] = rangeOf([...points.map(([, y]) => y), after, 0]);
  const px = (x) => ((x + reach) / (2 * reach)) * (width - 20) + 10;
  const py = (y) => height - 10 - ((y - low) / (high - low || 1)) * (height - 20);
  const line = (attributes) => svg("line", { class: "axis", ...attributes });
  const spoken = `${label} with the point (${number(before)}, ${number(after)})`;
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spoken },
    line({ x1: 10, x2: width - 10, y1: py(0), y2: py(0) }), line({ x1: px(0), x2: px(0), y1: 10, y2: height - 10 }),
    svg("polyline", { points: points.map(([x, y]) => `${px(x)},${py(y)}`).join(" ") }),
    line({ class: "guide", x1: px(before), x2: px(before), y1: py(0), y2: py(after) }),
    svg("circle", { cx: px(before), cy: py(after), r: 5 }));
}

/** What the network sees. */
export async function showImage(subject) {
  return showAlone(subject, "The image as the network sees it: brought to the network's size, its values scaled.");
}

/** A layer of a kind whose arithmetic is not known here. */
export async function showOther(subject) {
  return showAlone(subject, `The arithmetic of ${subject.row.kind} is not taken apart here; this is what it computes.`);
}

function showAlone(subject, sentence) {
  const { row, channel, output } = subject;
  const map = channelMap(output, channel);
  const steps = h("div", { class: "steps" });
  const onPixel = (y, x) => {
    const value = map.data[y * map.width + x];
    replace(steps, equation(["", value, placeName(row, map, y, x)]));
    return `${placeName(row, map, y, x)}: ${number(value)}.`;
  };
  const slide = createSlide({
    inputs: [], output: { label: row.shape.length === 3 ? `${row.name}, channel ${channel}` : row.name, map },
    subject: startingAtUnit(subject, map), count: realCount(output, map), onPixel,
  });
  return h("section", {}, h("p", { class: "explain soft" }, sentence), workbench(slide.element, steps));
}
