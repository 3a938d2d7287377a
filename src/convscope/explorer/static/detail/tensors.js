// Activations and weights for the arithmetic, with the last few kept: neighbouring channels and layers share them.

import * as api from "convscope/api.js";

const KEPT = 12;
const WHOLE = 2 ** 20;
const kept = new Map();

function ask(name, parameters) {
  const key = api.address(name, parameters);
  const answer = kept.get(key) ?? api.tensor(name, parameters);
  kept.delete(key);
  kept.set(key, answer);
  answer.catch(() => kept.delete(key));
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return answer;
}

/** All channels of a layer's output, {shape: [C, H, W] or [F], data}, for source = {run, epoch, image}. */
export function activations(source, layer) {
  return ask("activation", { ...source, layer });
}

/** The weights of one channel or unit: {weight: {shape, data}, bias: {shape: [1], data}, …}. */
export async function weightsOf(source, row, channel) {
  const { run, epoch } = source;
  if (row.parameters > WHOLE) return (await ask("weights", { run, epoch, layer: row.name, channel })).parts;
  const { parts } = await ask("weights", { run, epoch, layer: row.name });
  const one = ([name, { shape, data }]) => {
    const size = data.length / shape[0];
    return [name, { shape: shape.slice(1), data: data.subarray(channel * size, (channel + 1) * size) }];
  };
  return Object.fromEntries(Object.entries(parts).map(one));
}

/** One channel of a tensor (C, H, W) as a map; of a vector all its values, wrapped into rows of 16. */
export function channelMap({ shape, data }, channel) {
  if (shape.length === 1) return wrapped(data);
  const [, height, width] = shape;
  return { data: data.subarray(channel * height * width, (channel + 1) * height * width), height, width };
}

function wrapped(values) {
  const width = Math.min(16, values.length);
  const height = Math.ceil(values.length / width);
  const data = new Float32Array(height * width).fill(NaN);
  data.set(values);
  return { data, height, width };
}
