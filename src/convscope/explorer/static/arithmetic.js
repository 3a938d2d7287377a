// What the layers compute, value by value. A map is {data, height, width}: one channel, row by row as PyTorch keeps it.
// A window is {top, left, rows, columns, down, right}: `rows` times `columns` values of a map, `down` and `right`
// apart, of which some may lie outside, in the padding.

/** Size of the output along one side: ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1. */
export function outputSize(size, kernel, stride, padding, dilation) {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** Of a convolution or pool with settings as pairs (down, across): output pixel (y, x) -> the window that it reads. */
export function sliding({ kernel, stride, padding, dilation = [1, 1] }) {
  return (y, x) => ({
    top: y * stride[0] - padding[0], left: x * stride[1] - padding[1],
    rows: kernel[0], columns: kernel[1], down: dilation[0], right: dilation[1],
  });
}

/** Of an adaptive pool from one height and width to another: windows that cover the map, as equal as they can be. */
export function adaptive(input, output) {
  const from = (place, size, parts) => Math.floor((place * size) / parts);
  const to = (place, size, parts) => Math.ceil(((place + 1) * size) / parts);
  return (y, x) => {
    const top = from(y, input.height, output.height);
    const left = from(x, input.width, output.width);
    const rows = to(y, input.height, output.height) - top;
    const columns = to(x, input.width, output.width) - left;
    return { top, left, rows, columns, down: 1, right: 1 };
  };
}

/** Of layers that look at one pixel: that pixel. */
export function single(y, x) {
  return { top: y, left: x, rows: 1, columns: 1, down: 1, right: 1 };
}

/** The values in a window, row by row; null for those outside of the map. */
export function patch({ data, height, width }, { top, left, rows, columns, down, right }) {
  const values = [];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const y = top + i * down;
      const x = left + j * right;
      values.push(y >= 0 && y < height && x >= 0 && x < width ? data[y * width + x] : null);
    }
  }
  return values;
}

/** The sum of products of a window's values with a kernel; outside of the map there are zeros. */
export function dot(values, kernel) {
  return values.reduce((sum, value, k) => sum + (value ?? 0) * kernel[k], 0);
}

/**
 * One kernel (rows, columns) over one channel, as PyTorch's convolution does it: the kernel is not turned round, which
 * mathematicians call a cross-correlation. The answer is a map of `height` times `width`.
 */
export function convolve(map, kernel, settings, height, width) {
  const { kernel: [rows, columns], stride, padding, dilation } = settings;
  const data = new Float32Array(height * width);
  // Weight by weight rather than pixel by pixel: what lies in the padding is left out by whole rows and columns.
  for (let k = 0; k < rows * columns; k++) {
    const down = Math.floor(k / columns) * dilation[0] - padding[0];
    const right = (k % columns) * dilation[1] - padding[1];
    const first = Math.max(0, Math.ceil(-right / stride[1]));
    const last = Math.min(width - 1, Math.floor((map.width - 1 - right) / stride[1]));
    for (let y = 0; y < height; y++) {
      const row = y * stride[0] + down;
      if (row < 0 || row >= map.height) continue;
      const start = row * map.width + right;
      for (let x = first; x <= last; x++) data[y * width + x] += kernel[k] * map.data[start + x * stride[1]];
    }
  }
  return { data, height, width };
}

/** By how many an average pool divides, as PyTorch counts: padding counts if so set, what ceil mode adds never does. */
export function averageCount(map, window, { padding, count_include_pad: withPadding }) {
  if (!withPadding) return patch(map, window).filter((value) => value !== null).length;
  const rows = Math.min(window.top + window.rows, map.height + padding[0]) - window.top;
  const columns = Math.min(window.left + window.columns, map.width + padding[1]) - window.left;
  return rows * columns;
}

/** The activations by the name of their layer: x -> y. */
export function activation(kind, { slope = 0.01, approximate = "none" } = {}) {
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  switch (kind) {
    case "ReLU": return (x) => Math.max(0, x);
    case "LeakyReLU": return (x) => (x >= 0 ? x : slope * x);
    case "SiLU": return (x) => x * sigmoid(x);
    case "GELU":
      return approximate === "none"
        ? (x) => (x / 2) * (1 + erf(x / Math.SQRT2))
        : (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    case "Sigmoid": return sigmoid;
    case "Tanh": return Math.tanh;
    default: return (x) => x;
  }
}

/** The error function to 1.5e-7: Abramowitz & Stegun, Handbook of mathematical functions, 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}
