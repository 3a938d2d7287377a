// Fully connected layers: every input times its weight, summed up; and the flattening of maps before them.

import { range } from "convscope/colour.js";
import { equation } from "convscope/detail/equation.js";
import { formula, sum } from "convscope/detail/math.js";
import { bar, figures } from "convscope/detail/tables.js";
import { activations, channelMap, weightsOf } from "convscope/detail/tensors.js";
import { h } from "convscope/dom.js";
import { number, shape, whole } from "convscope/format.js";
import { createGrid, rangeOf, signed, thumbnail } from "convscope/grid.js";

const SHOWN = 8;
const MAPS = 16;
const FEW = 4; // maps that are shown large

export async function showLinear(subject) {
  const { row, channel, source, output, classes, network } = subject;
  const [name] = row.inputs;
  const [input, { weight, bias }] = await Promise.all([activations(source, name), weightsOf(source, row, channel)]);
  const products = Float32Array.from(input.data, (value, i) => value * weight.data[i]);
  const total = products.reduce((one, value) => one + value, 0);
  const maps = mapsBehind(subject, name);
  const unit = row.name === network.output ? `logit of ${classes[channel]}` : `unit ${channel}`;

  return h("section", {},
    h("div", { class: "explain" },
      formula("output", "=", sum("inputs"), "x", "·", "weight", ...(bias ? ["+", "bias"] : [])),
      h("p", { class: "soft" }, `Each unit has its own weight for each of the ${whole(input.data.length)} inputs.`)),
    h("div", { class: "steps" }, equation(
      ["", total, `sum of ${whole(products.length)} products`],
      ...(bias ? [["+", bias.data[0], "bias"]] : []),
      ["=", output.data[channel], unit])),
    maps ? weightMaps(maps, input.data, weight.data, products) : null,
    h("h3", {}, "Products that count most"),
    h("div", { class: "sides-of-sum" },
      largest("Raise it most", products, input.data, weight.data, maps, (value) => value),
      largest("Lower it most", products, input.data, weight.data, maps, (value) => -value)));
}

/** Shape (C, H, W) of the maps that a Flatten before this layer has made a vector of; null where there are none. */
function mapsBehind({ find }, name) {
  let row = find(name);
  while (["Dropout", "Identity"].includes(row.kind)) row = find(row.inputs[0]);
  if (row.kind !== "Flatten") return null;
  const sizes = find(row.inputs[0]).shape;
  return sizes[1] * sizes[2] > 1 ? sizes : null;
}

/** The channels whose products add up to most, as maps: input · weight = products. */
function weightMaps(sizes, inputs, weights, products) {
  const area = sizes[1] * sizes[2];
  const part = (data, k) => channelMap({ shape: sizes, data }, k);
  const channels = Array.from({ length: sizes[0] }, (_, k) => {
    const map = part(products, k);
    return { k, map, sum: map.data.reduce((one, value) => one + value, 0) };
  });
  channels.sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const weightLimits = signed(weights);
  const productLimits = signed(products);
  const few = sizes[0] <= FEW;
  const side = few ? 140 : 56;
  const one = ({ k, map, sum }) => h("div", { class: "part" },
    h("span", { class: "index" }, k),
    thumbnail(part(inputs, k), rangeOf(part(inputs, k).data), `channel ${k}`, side),
    h("span", { "aria-hidden": "true" }, "·"),
    thumbnail(part(weights, k), weightLimits, "weights", side),
    h("span", { "aria-hidden": "true" }, "="),
    thumbnail(map, productLimits, "products", side),
    h("span", { class: "value" }, number(sum)));
  const more = sizes[0] > MAPS ? `, the ${MAPS} of ${whole(sizes[0])} that count most` : "";
  return [
    h("h3", {}, `The weights as maps over the input${more}`),
    h("p", { class: "soft" },
      `The vector is ${shape(sizes)} values in line, so each channel has ${whole(area)} weights, one for every place.`),
    h("div", { class: few ? "parts large" : "parts" }, channels.slice(0, MAPS).map(one)),
  ];
}

function largest(title, products, inputs, weights, maps, order) {
  const places = [...products.keys()].sort((one, other) => order(products[other]) - order(products[one]));
  const shown = places.slice(0, SHOWN).filter((i) => order(products[i]) > 0);
  const [low, high] = range(products);
  const reach = Math.max(-low, high);
  const line = (i) => h("tr", {},
    h("th", { scope: "row" }, maps ? placeOf(i, maps) : `input ${i}`),
    h("td", {}, number(inputs[i])), h("td", {}, number(weights[i])), h("td", {}, number(products[i])),
    h("td", { class: "bar-cell" }, bar(Math.abs(products[i]) / reach, products[i] > 0 ? "right" : "wrong")));
  return figures({
    caption: title,
    heads: [maps ? "where (row, column)" : "where", "input", "weight", "product", ""],
    rows: shown.length > 0 ? shown.map(line) : h("tr", {}, h("td", { colspan: 5 }, "none")),
  });
}

function placeOf(index, [, height, width]) {
  const within = index % (height * width);
  return `channel ${Math.floor(index / (height * width))} (${Math.floor(within / width)}, ${within % width})`;
}

/** Which value of which map has which place in the vector. */
export async function showFlatten(subject) {
  const { row, channel: index, source, output, find, choose, signal } = subject;
  const [name] = row.inputs;
  const sizes = find(name).shape;
  const [, height, width] = sizes;
  const input = await activations(source, name);
  const area = height * width;
  const [c, y, x] = [Math.floor(index / area), Math.floor((index % area) / width), index % width];
  const map = channelMap(input, c);
  const grid = createGrid({
    label: `${name}, channel ${c}`, map,
    onPick: (row, column) => !signal.aborted && choose({ channel: c * area + row * width + column }),
  });
  grid.show({ top: y, left: x, rows: 1, columns: 1, down: 1, right: 1 });
  return h("section", {},
    h("div", { class: "explain" },
      formula("index", "=", "c", "·", "H", "·", "W", "+", "y", "·", "W", "+", "x"),
      h("p", { class: "soft" },
        `The ${shape(sizes)} values are written one after the other: channel by channel, row by row.`)),
    h("div", { class: "maps" }, h("figure", {}, h("figcaption", {}, `${name}, channel ${c}`), grid.element)),
    h("div", { class: "steps" },
      equation(
        ["", `${c} · ${height} · ${width}`, `channel ${c}`],
        ["+", `${y} · ${width}`, `row ${y}`],
        ["+", String(x), `column ${x}`],
        ["=", String(index), "place in the vector"]),
      equation(
        ["", map.data[y * width + x], "value in the map"],
        ["=", output.data[index], `value ${index} of the vector`])));
}
