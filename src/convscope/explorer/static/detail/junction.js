// Where branches meet: sums, products, and channels put behind one another.

import { single } from "convscope/arithmetic.js";
import { equation } from "convscope/detail/equation.js";
import { createSlide, workbench } from "convscope/detail/slide.js";
import { figures } from "convscope/detail/tables.js";
import { activations, channelMap } from "convscope/detail/tensors.js";
import { h, replace } from "convscope/dom.js";
import { number, whole } from "convscope/format.js";

/** He and others, arXiv 1512.03385: a shortcut past some layers, added to what they computed. */
export async function showSum(subject) {
  return showTogether(subject, "+", "Branches come together: their values in the same channel and place are added.");
}

/** Hu and others, arXiv 1709.01507: each channel times one number, which tells how much it matters in this image. */
export async function showProduct(subject) {
  return showTogether(subject, "·", "Each channel is multiplied by a number of its own, made from the whole image.");
}

async function showTogether(subject, sign, sentence) {
  const { row, channel, source, output } = subject;
  const tensors = await Promise.all(row.inputs.map((name) => activations(source, name)));
  // A vector's number for the channel is a map of one value, which counts everywhere.
  const maps = tensors.map(({ shape, data }) => channelMap({ shape: [...shape, 1, 1].slice(0, 3), data }, channel));
  const result = channelMap(output, channel);
  const isOne = ({ height, width }) => height * width === 1;
  const steps = h("div", { class: "steps" });
  const label = (name) => `${name}, channel ${channel}`;
  const windowOf = (map) => (isOne(map) ? () => single(0, 0) : single);

  function onPixel(y, x) {
    const at = y * result.width + x;
    const values = maps.map((map) => map.data[isOne(map) ? 0 : at]);
    replace(steps, equation(
      ...values.map((value, k) => [k > 0 ? sign : "", value, row.inputs[k]]),
      ["=", result.data[at], `output in row ${y}, column ${x}`]));
    return `Row ${y}, column ${x}: ${values.map(number).join(` ${sign} `)} = ${number(result.data[at])}.`;
  }

  const slide = createSlide({
    inputs: row.inputs.map((name, k) => ({ label: label(name), map: maps[k], windowAt: windowOf(maps[k]) })),
    output: { label: label(row.name), map: result },
    sign, subject, onPixel,
  });
  return h("section", {}, h("p", { class: "explain soft" }, sentence), workbench(slide.element, steps));
}

/** Which channel comes from which branch. */
export async function showConcatenation(subject) {
  const { row, channel, output, find, choose } = subject;
  let next = 0;
  const branches = row.inputs.map((name) => {
    const first = next;
    next += find(name).shape[0];
    return { name, first, last: next - 1 };
  });
  const origin = branches.find(({ last }) => channel <= last);
  const map = channelMap(output, channel);
  const steps = h("div", { class: "steps" });

  function onPixel(y, x) {
    const value = map.data[y * map.width + x];
    replace(steps, equation(["", value, `row ${y}, column ${x}`]));
    return `Row ${y}, column ${x}: ${number(value)}.`;
  }

  const one = (branch) => h("tr", { "aria-current": branch === origin ? "true" : null },
    h("td", {}, branch.first === branch.last ? branch.first : `${whole(branch.first)} to ${whole(branch.last)}`),
    h("td", {}, h("button", {
      type: "button",
      onclick: () => choose({ layer: branch.name, channel: branch === origin ? channel - branch.first : null }),
    }, branch.name)));
  const label = `${row.name}, channel ${channel}`;
  const slide = createSlide({ inputs: [], output: { label, map }, subject, onPixel });
  return h("section", {},
    h("p", { class: "explain soft" }, "The channels of the branches are put behind one another; no value changes. ",
      `Channel ${channel} here is channel ${channel - origin.first} of ${origin.name}.`),
    workbench(h("div", {}, slide.element, steps),
      figures({ caption: "Where the channels come from", heads: ["channels", "branch"], rows: branches.map(one) })));
}
