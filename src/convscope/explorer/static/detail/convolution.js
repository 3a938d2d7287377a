// A convolution, pixel by pixel: patch × kernel = products for one input channel, then the sum over all of them.

import { convolve, dot, patch, single, sliding } from "convscope/arithmetic.js";
import { range } from "convscope/colour.js";
import { equation } from "convscope/detail/equation.js";
import { createParts } from "convscope/detail/kernels.js";
import { formula, sum } from "convscope/detail/math.js";
import { createSlide } from "convscope/detail/slide.js";
import { activations, channelMap, weightsOf } from "convscope/detail/tensors.js";
import { h, replace } from "convscope/dom.js";
import { number, whole } from "convscope/format.js";
import { matrix, rangeOf, signed } from "convscope/grid.js";

export async function showConvolution(subject) {
  const { row, channel, source, output } = subject;
  const [name] = row.inputs;
  const [input, { weight, bias }] = await Promise.all([activations(source, name), weightsOf(source, row, channel)]);
  const map = channelMap(output, channel);
  const windowAt = sliding(row.settings);
  const parts = partsOf(subject, input, weight, map);
  const kernels = signed(weight.data);
  const steps = h("div", { class: "steps" });
  let chosen = 0;

  function onPixel(y, x) {
    const values = patch(parts[chosen].map, windowAt(y, x));
    const sums = parts.map((part) => dot(patch(part.map, windowAt(y, x)), part.kernel));
    const total = sums.reduce((one, other) => one + other, 0);
    const result = map.data[y * map.width + x];
    replace(steps, products(parts[chosen], values, row.settings.kernel[1], kernels), equation(
      ["", sums[chosen], `sum of these products, channel ${parts[chosen].index}`],
      ...(parts.length > 1 ? [["+", total - sums[chosen], `the other ${whole(parts.length - 1)} input channels`]] : []),
      ...(bias ? [["+", bias.data[0], "bias"]] : []),
      ["=", result, `output in row ${y}, column ${x}`],
    ));
    list.write(sums);
    return `Row ${y}, column ${x}: output ${number(result)}.`;
  }

  const mapsOf = ({ index, map, product }) => [
    { label: `${name}, channel ${index}`, map, windowAt },
    { label: `channel ${index} ∗ kernel`, map: product, windowAt: single, limits: signed(product.data) },
  ].slice(0, parts.length > 1 ? 2 : 1);
  const list = createParts(parts, kernels, row.settings.kernel, (k) => {
    chosen = k;
    slide.setInputs(mapsOf(parts[k]));
  });
  const label = `${row.name}, channel ${channel}`;
  const slide = createSlide({
    inputs: mapsOf(parts[0]), sign: "→", lastSign: parts.length > 1 ? "Σ →" : "→",
    output: { label, map }, subject, onPixel,
  });
  return h("section", {},
    explain(row), slide.element, steps,
    h("h3", {}, `Input channels: ${whole(parts.length)}, those with the largest results first`),
    list.element);
}

/**
 * The input channels that this output channel reads, each with its kernel and what the kernel makes of it; those with
 * the largest values first. {index, map, kernel: Float32Array, product: map}
 */
function partsOf({ row, channel }, input, weight, { height, width }) {
  const count = weight.shape[0]; // all of them, or those of the output channel's group
  const first = Math.floor((channel * row.settings.groups) / row.shape[0]) * count;
  const size = weight.data.length / count;
  const parts = Array.from({ length: count }, (_, k) => {
    const map = channelMap(input, first + k);
    const kernel = weight.data.subarray(k * size, (k + 1) * size);
    const product = convolve(map, kernel, row.settings, height, width);
    return { index: first + k, map, kernel, product, peak: Math.max(...range(product.data).map(Math.abs)) };
  });
  return parts.sort((one, other) => other.peak - one.peak);
}

function products({ index, map, kernel }, values, columns, kernels) {
  const sign = (text) => h("span", { class: "sign", "aria-hidden": "true" }, text);
  return h("div", { class: "products" },
    matrix({ caption: `patch of channel ${index}`, values, columns, limits: rangeOf(map.data) }), sign("×"),
    matrix({ caption: "kernel", values: [...kernel], columns, limits: kernels }), sign("="),
    matrix({ caption: "products", values: values.map((value, k) => (value ?? 0) * kernel[k]), columns }));
}

function explain({ settings: { kernel, stride, padding, dilation, bias } }) {
  const same = ([one, other]) => (one === other ? `${one}` : `${one} by ${other}`);
  const facts = [`a kernel of ${kernel.join(" × ")}`, `stride ${same(stride)}`, `padding ${same(padding)}`];
  if (Math.max(...dilation) > 1) facts.push(`dilation ${same(dilation)}`);
  return h("div", { class: "explain" },
    formula("output", "=", sum("channels"), sum("window"), "patch", "·", "kernel", ...(bias ? ["+", "bias"] : [])),
    h("p", { class: "soft" },
      `For each input channel ${facts.join(", ")}. `,
      "Point at the output, or use arrow keys on it, to see a pixel's arithmetic."));
}
