// From values to colours, the same ones in every view: blue below zero, red above, white at zero; and for maps without a
// sign, such as those after a ReLU, from the darkest to the brightest (the points of Matplotlib's "viridis").

const DIVERGING = [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]];
const GREY = [128, 128, 128];
const SEQUENTIAL = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

/** [red, green, blue] in 0..255 for a value within [low, high]; what is no number is grey. */
export function colour(value, low, high) {
  if (Number.isNaN(value)) return GREY;
  const signed = low < 0;
  const reach = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const share = signed ? (value / reach + 1) / 2 : (value - low) / (high - low || 1);
  const points = signed ? DIVERGING : SEQUENTIAL;
  const place = Math.min(Math.max(share, 0), 1) * (points.length - 1);
  const index = Math.min(Math.floor(place), points.length - 2);
  const part = place - index;
  return points[index].map((from, k) => Math.round(from + part * (points[index + 1][k] - from)));
}

/** The colour as text for CSS and SVG. */
export function css(value, low, high) {
  return `rgb(${colour(value, low, high).join(" ")})`;
}

/** Whether dark text is easier to read than light text on this colour. */
export function isLight(value, low, high) {
  // Relative luminance, as WCAG 2 counts it: at 0.179 black and white text have the same contrast, 4.6.
  const [red, green, blue] = colour(value, low, high).map((part) => (part / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
}

const STEPS = 512;
const NO_NUMBER = [255, 0, 255, 255];
let table = {}; // the newest one: neighbouring maps share their limits

/** The colours from `low` to `high` in equal steps, as a map has many more pixels than these. */
function tableOf(low, high) {
  if (table.low !== low || table.high !== high) {
    const value = (step) => low + (step / (STEPS - 1)) * (high - low);
    const colours = Array.from({ length: STEPS }, (_, step) => [...colour(value(step), low, high), 255]);
    table = { low, high, colours };
  }
  return table.colours;
}

/** Draw a map of `height` times `width` values, a pixel each, on a canvas; CSS enlarges it. */
export function paint(canvas, values, height, width, low, high) {
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  const colours = tableOf(low, high);
  const scale = (STEPS - 1) / (high - low || 1);
  for (let i = 0; i < height * width; i++) {
    const step = Math.min(Math.max(Math.round((values[i] - low) * scale), 0), STEPS - 1);
    pixels.data.set(colours[step] ?? NO_NUMBER, 4 * i);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The bytes of a map as an overview sends it (base64, 0 = low, 255 = high), as values. */
export function decode(bytes, low, high) {
  return Float32Array.from(atob(bytes), (character) => low + (character.charCodeAt(0) / 255) * (high - low));
}

/** [smallest, largest] of some values. */
export function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
