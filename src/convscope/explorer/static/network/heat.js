// What a row shows of its channels: maps from an overview, which are small and rounded, or all of them from a tensor.
//
// Shown: {total, size: [height, width], cells: [{channel, low, high, values}]}. `low` and `high` are the true extremes
// of the channel, null where there are none (NaN); `values` is a Float32Array of the map. A vector has size [1, 1].

import { range } from "convscope/colour.js";

const LARGEST = 48; // pixels a side, as in overviews

/** Shown from a layer of /api/overview. */
export function fromOverview(layer) {
  if (layer.values) {
    const cells = layer.channels.map((channel, k) => cellOf(channel, layer.values[k]));
    return { total: layer.total, size: [1, 1], cells };
  }
  const bytes = Uint8Array.from(atob(layer.maps), (character) => character.charCodeAt(0));
  const area = layer.size[0] * layer.size[1];
  const cells = layer.channels.map((channel, k) => {
    const [low, high] = layer.ranges[k];
    const shares = bytes.subarray(k * area, (k + 1) * area);
    return { channel, low, high, values: Float32Array.from(shares, (share) => low + (share / 255) * (high - low)) };
  });
  return { total: layer.total, size: layer.size, cells };
}

/** Shown from the whole output of a layer, (C, H, W) or (F,). */
export function fromTensor({ shape: [total, height, width], data }) {
  if (height === undefined) {
    return { total, size: [1, 1], cells: Array.from(data, (value, unit) => cellOf(unit, value)) };
  }
  const size = [Math.min(height, LARGEST), Math.min(width, LARGEST)];
  const cells = Array.from({ length: total }, (_, channel) => {
    const map = data.subarray(channel * height * width, (channel + 1) * height * width);
    const [low, high] = range(map);
    return { channel, low, high, values: shrink(map, height, width, size) };
  });
  return { total, size, cells };
}

function cellOf(channel, value) {
  return { channel, low: value, high: value, values: Float32Array.of(value ?? NaN) };
}

/** The means of a grid of windows, which cover the map as PyTorch's adaptive_avg_pool2d lets them. */
function shrink(map, height, width, [rows, columns]) {
  if (rows === height && columns === width) return map;
  const small = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const [top, bottom] = [Math.floor((i * height) / rows), Math.ceil(((i + 1) * height) / rows)];
    for (let j = 0; j < columns; j++) {
      const [left, right] = [Math.floor((j * width) / columns), Math.ceil(((j + 1) * width) / columns)];
      let sum = 0;
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += map[y * width + x];
      small[i * columns + j] = sum / ((bottom - top) * (right - left));
    }
  }
  return small;
}

/** [lowest, highest] of all channels shown: the ends of the colours of a row. */
export function limitsOf(cells) {
  return range(cells.flatMap(({ low, high }) => (low === null ? [] : [low, high])));
}
