// The playground's settings: what they are, how an address writes them, which of them are possible, what comes out.
//
// A setting is {operation, input, kernel, stride, padding, dilation}: `operation` is "convolution", "max" or "average";
// input and kernel are rows of numbers, square; a pool uses only the kernel's size; `padding` is a number or "same".

import { averageCount, dot, outputSize, patch, sliding } from "convscope/arithmetic.js";

export const LIMITS = { size: [1, 10], kernel: [1, 7], stride: [1, 5], padding: [0, 5], dilation: [1, 4] };

const INPUT = [[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]];
const KERNEL = [[2, 0, 1], [0, 1, 2], [1, 0, 2]];
const MAP = [[1, 2, 2, 4], [5, 6, 8, 7], [9, 10, 12, 11], [13, 15, 14, 16]];
const BAR = Array.from({ length: 7 }, () => [0, 0, 1, 1, 1, 0, 0]);
const EDGE = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]];
const plain = { stride: 1, padding: 0, dilation: 1 };

export const EXAMPLES = {
  "Convolution": { ...plain, operation: "convolution", input: INPUT, kernel: KERNEL },
  "Max pooling": { ...plain, operation: "max", input: MAP, kernel: square(2, 1), stride: 2 },
  "Average pooling": { ...plain, operation: "average", input: MAP, kernel: square(2, 1), stride: 2 },
  "Edges of a bar": { ...plain, operation: "convolution", input: BAR, kernel: EDGE, padding: 1 },
  "Every second pixel": { operation: "convolution", input: BAR, kernel: EDGE, stride: 2, padding: 2, dilation: 2 },
};

/** Rows of `size` times `size` numbers: those of `values` where there are any, else `otherwise`. */
export function square(size, otherwise, values = []) {
  return Array.from({ length: size }, (_, y) => Array.from({ length: size }, (_, x) => values[y]?.[x] ?? otherwise));
}

/** Cells of padding on each side. "same" is as much as keeps the size. */
export function paddingOf({ padding, dilation, kernel }) {
  return padding === "same" ? (dilation * (kernel.length - 1)) / 2 : padding;
}

/** One sentence on why there is no such layer; null where there is. */
export function whyNot(setting) {
  const { operation, input, kernel, stride, padding, dilation } = setting;
  const size = kernel.length;
  const reach = dilation * (size - 1) + 1;
  if (padding === "same" && stride > 1) {
    return `"same" means that the output is as large as the input, but a stride of ${stride} makes it smaller: `
      + "choose stride 1, or a number as padding.";
  }
  if (padding === "same" && reach % 2 === 0) {
    return `To keep the size, this kernel needs ${reach - 1} cells of padding in all, which cannot be halved: `
      + "an even kernel has no middle. Choose an odd kernel.";
  }
  if (operation !== "convolution" && padding > size / 2) {
    return `A pool of ${size} × ${size} may have a padding of at most half its size, ${Math.floor(size / 2)}, `
      + "or some windows would hold nothing but padding: choose less.";
  }
  const padded = input.length + 2 * paddingOf(setting);
  if (reach > padded) {
    return `The kernel reaches over ${reach} cells, but the input has only ${padded}`
      + `${padded > input.length ? " with its padding" : ""}: choose a smaller kernel`
      + `${dilation > 1 ? " or dilation" : ""}, or more padding.`;
  }
  return null;
}

/** {size, windowAt, map, settings}: side of the output, for each of its pixels the window in the map, the pairs. */
export function layerOf(setting) {
  const { input, kernel, stride, dilation } = setting;
  const padding = paddingOf(setting);
  const sizes = Object.entries({ kernel: kernel.length, stride, padding, dilation });
  const pairs = Object.fromEntries(sizes.map(([key, cells]) => [key, [cells, cells]]));
  const settings = { ...pairs, count_include_pad: true };
  const map = { data: input.flat(), height: input.length, width: input.length };
  const size = outputSize(input.length, kernel.length, stride, padding, dilation);
  return { size, windowAt: sliding(settings), map, settings };
}

/** What one window gives: {values, result, terms}, with the arithmetic as text; values are null in the padding. */
export function compute(setting, { windowAt, map, settings }, y, x) {
  const window = windowAt(y, x);
  const values = patch(map, window);
  const inside = values.filter((value) => value !== null);
  if (setting.operation === "max") {
    return { values, result: Math.max(...inside), terms: `max(${inside.map(text).join(", ")})` };
  }
  if (setting.operation === "average") {
    const count = averageCount(map, window, settings);
    const result = inside.reduce((one, value) => one + value, 0) / count;
    return { values, result, terms: `(${values.map((value) => bracket(value ?? 0)).join(" + ")}) / ${count}` };
  }
  const kernel = setting.kernel.flat();
  const products = values.map((value, k) => `${bracket(value ?? 0)} · ${bracket(kernel[k])}`);
  return { values, result: dot(values, kernel), terms: products.join(" + ") };
}

function text(value) {
  return String(value).replace("-", "−");
}

function bracket(value) {
  return value < 0 ? `(${text(value)})` : text(value);
}

/** The line of Python that makes this layer. */
export function python({ operation, kernel, stride, padding, dilation }) {
  const size = `kernel_size=${kernel.length}`;
  const rest = [`stride=${stride}`, `padding=${padding === "same" ? '"same"' : padding}`];
  const call = (name, ...values) => `nn.${name}(${values.join(", ")})`;
  if (operation === "average") return call("AvgPool2d", size, ...rest);
  rest.push(`dilation=${dilation}`);
  return operation === "max" ? call("MaxPool2d", size, ...rest) : call("Conv2d", 1, 1, size, ...rest, "bias=False");
}

/** For the address: operation, stride, padding, dilation, input and kernel, such as "max;2;0;1;1,2|3,4;1". */
export function toText({ operation, stride, padding, dilation, input, kernel }) {
  const rows = (values) => values.map((row) => row.join(",")).join("|");
  const last = operation === "convolution" ? rows(kernel) : kernel.length;
  return [operation, stride, padding, dilation, rows(input), last].join(";");
}

/** The setting that an address tells; null where it tells none. */
export function fromText(text) {
  const [operation, stride, padding, dilation, input, kernel] = (text ?? "").split(";");
  if (!["convolution", "max", "average"].includes(operation) || kernel === undefined) return null;
  const rows = (values) => values.split("|").map((row) => row.split(",").map(Number));
  const setting = {
    operation,
    input: rows(input),
    stride: Number(stride),
    padding: padding === "same" ? padding : Number(padding),
    dilation: Number(dilation),
    kernel: operation === "convolution" ? rows(kernel) : square(Math.min(Number(kernel) || 0, LIMITS.kernel[1]), 1),
  };
  const within = (value, [least, most]) => Number.isInteger(value) && value >= least && value <= most;
  const isSquare = (values, limits) =>
    within(values.length, limits) && values.every((row) => row.length === values.length && row.every(Number.isFinite));
  const possible = isSquare(setting.input, LIMITS.size) && isSquare(setting.kernel, LIMITS.kernel)
    && within(setting.stride, LIMITS.stride) && within(setting.dilation, LIMITS.dilation)
    && (padding === "same" ? operation === "convolution" : within(setting.padding, LIMITS.padding))
    && !(operation === "average" && setting.dilation > 1);
  return possible ? setting : null;
}
