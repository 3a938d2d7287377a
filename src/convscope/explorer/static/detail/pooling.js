// Pools: the largest value of a window, or the mean of it.

import { adaptive, averageCount, patch, sliding } from "convscope/arithmetic.js";
import { equation } from "convscope/detail/equation.js";
import { createSlide, workbench } from "convscope/detail/slide.js";
import { activations, channelMap } from "convscope/detail/tensors.js";
import { h, replace } from "convscope/dom.js";
import { number, whole } from "convscope/format.js";
import { matrix, rangeOf } from "convscope/grid.js";

const MOST = 256; // values written out

export async function showPool(subject) {
  const { row, channel, source, output } = subject;
  const [name] = row.inputs;
  const map = channelMap(await activations(source, name), channel);
  const result = channelMap(output, channel);
  const limits = rangeOf(map.data);
  const windowAt = row.settings.kernel ? sliding(row.settings) : adaptive(map, result);
  const takesLargest = row.kind === "MaxPool2d";
  const outside = takesLargest ? "−∞" : row.settings.count_include_pad ? "0" : "–";
  const steps = h("div", { class: "steps" });

  function onPixel(y, x) {
    const window = windowAt(y, x);
    const values = patch(map, window);
    const value = result.data[y * result.width + x];
    const place = ["=", value, `output in row ${y}, column ${x}`];
    const marked = takesLargest ? values.indexOf(value) : null;
    replace(steps,
      values.length > MOST
        ? h("p", {}, `The window has ${whole(values.length)} values.`)
        : matrix({ caption: `window of channel ${channel}`, values, columns: window.columns, limits, marked, outside }),
      takesLargest ? equation(["", "max", "the largest of the window"], place) : mean(row, map, window, values, place));
    return `Row ${y}, column ${x}: output ${number(value)}.`;
  }

  const slide = createSlide({
    inputs: [{ label: `${name}, channel ${channel}`, map, windowAt, limits }],
    output: { label: `${row.name}, channel ${channel}`, map: result },
    subject, onPixel,
  });
  return h("section", {}, explain(row, takesLargest), workbench(slide.element, steps));
}

function mean(row, map, window, values, place) {
  const sum = values.reduce((one, value) => one + (value ?? 0), 0);
  const count = row.settings.kernel ? averageCount(map, window, row.settings) : values.length;
  return equation(["", sum, "sum of the window"], ["÷", count, "values"], place);
}

function explain({ settings }, takesLargest) {
  const what = takesLargest
    ? "Of each window the largest value is kept: where exactly in the window it was no longer matters."
    : "Each window is replaced by its mean.";
  const how = settings.kernel
    ? ` Windows of ${settings.kernel.join(" × ")} with stride ${settings.stride[0]}, each channel by itself.`
    : " The windows cover the whole map, each channel by itself.";
  return h("p", { class: "explain soft" }, what, how);
}
