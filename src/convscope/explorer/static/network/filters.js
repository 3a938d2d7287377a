// The kernels of a first layer as pictures: they look at the image itself, so that one sees what they look for.

import { paint, range } from "convscope/colour.js";

/** Whether the kernels of this row look at the image, grey or in colour; `rows` is a Map of all rows by name. */
export function seesImage(row, rows) {
  if (row.kind !== "Conv2d") return false;
  const input = rows.get(row.inputs[0]);
  const image = input.kind === "Identity" ? rows.get(input.inputs[0]) : input;
  return image.kind === "image" && [1, 3].includes(image.shape[0]);
}

/** Draw one channel's kernel of a weight {shape: [out, in, height, width], data}; 0 is the middle of the colours. */
export function paintFilter(canvas, { shape: [, channels, height, width], data }, channel) {
  const area = height * width;
  const kernel = data.subarray(channel * channels * area, (channel + 1) * channels * area);
  const reach = Math.max(...range(data).map(Math.abs)) || 1;
  if (channels === 1) {
    paint(canvas, kernel, height, width, -reach, reach);
    return;
  }
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  const level = (value) => 127.5 * (1 + value / reach);
  for (let i = 0; i < area; i++) {
    pixels.data.set([level(kernel[i]), level(kernel[area + i]), level(kernel[2 * area + i]), 255], 4 * i);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
