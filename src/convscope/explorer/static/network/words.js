// Layers in plain words, for those who do not know the names of PyTorch's classes.

import { whole } from "convscope/format.js";

const sides = (pair) => pair.join(" × ");
const channels = (count) => `${whole(count)} ${count === 1 ? "channel" : "channels"}`;

const WORDS = {
  image: () => "the image as the network sees it, normalised",
  Conv2d: ({ settings, shape }) => `convolution ${sides(settings.kernel)}, ${channels(shape[0])}`,
  Linear: ({ shape }) => `fully connected, ${whole(shape[0])} ${shape[0] === 1 ? "output" : "outputs"}`,
  MaxPool2d: ({ settings }) => `the largest of each ${sides(settings.kernel)} values`,
  AvgPool2d: ({ settings }) => `the mean of each ${sides(settings.kernel)} values`,
  AdaptiveAvgPool2d: ({ shape }) => `means, ${sides(shape.slice(1))} of each channel`,
  BatchNorm2d: () => "each channel normalised, scaled and shifted",
  LocalResponseNorm: () => "each value damped by its neighbouring channels",
  ReLU: () => "negative values become 0",
  LeakyReLU: () => "negative values become small",
  SiLU: () => "each value times its own sigmoid",
  GELU: () => "each value bent smoothly, negative ones to nearly 0",
  Sigmoid: () => "each value pressed between 0 and 1",
  Tanh: () => "each value pressed between −1 and 1",
  Dropout: () => "changes nothing outside training",
  Identity: () => "changes nothing",
  Flatten: ({ shape }) => `all values in a row of ${whole(shape[0])}`,
  concatenation: ({ inputs }) => `the channels of ${inputs.length} branches, one after the other`,
  sum: ({ inputs }) => `${inputs.length} branches added`,
  product: ({ inputs }) => `${inputs.length} branches multiplied`,
};

/** What a row does, in a few words; of a kind that is not known, nothing. */
export function inWords(row) {
  return WORDS[row.kind]?.(row) ?? "";
}

function textOf(value) {
  return Array.isArray(value) ? sides(value) : { true: "yes", false: "no" }[value] ?? String(value);
}

/** Settings worth telling, as pairs of a word and its value; those that change nothing are left out. */
export function settingsOf({ settings }) {
  const neutral = { padding: "0 × 0", dilation: "1 × 1", groups: "1", ceil: "no", count_include_pad: "yes" };
  const names = { count_include_pad: "padding counts", ceil: "last window may be cut", slope: "slope below zero" };
  return Object.entries(settings)
    .map(([key, value]) => [key, textOf(value)])
    .filter(([key, text]) => neutral[key] !== text)
    .map(([key, text]) => [names[key] ?? key, text]);
}

/** Which part of the image one value of the row depends on, as a sentence. */
export function fieldOf({ receptive_field: field }) {
  if (field === null) return "Not known for this layer.";
  if (field.everything) return "Each value depends on the whole image.";
  const noun = field.size.join() === "1,1" ? "pixel" : "pixels";
  return `Each value depends on ${sides(field.size)} ${noun} of what the network sees.`;
}

/** How a channel or unit is called: "block1.conv1, channel 5", "output, Sneaker". */
export function channelName(row, channel, classes) {
  if (classes !== null) return `${row.name}, ${classes[channel]}`;
  return `${row.name}, ${row.shape.length === 3 ? "channel" : "unit"} ${channel}`;
}
