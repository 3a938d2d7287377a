// The network of one side, drawn from the model itself, with what each channel makes of the current image.

import * as api from "convscope/api.js";
import { h, notify, replace } from "convscope/dom.js";
import { whole } from "convscope/format.js";
import { newest } from "convscope/latest.js";
import { seesImage } from "convscope/network/filters.js";
import { fromTensor } from "convscope/network/heat.js";
import { highlight } from "convscope/network/highlight.js";
import { arrange, fold, readersOf } from "convscope/network/layout.js";
import { drawItems } from "convscope/network/rows.js";
import { createStrip } from "convscope/network/strip.js";
import { source } from "convscope/state.js";

const SHORT = 30; // layers of a network that is shown without folding
const WATCHED = { main: ["run", "epoch", "image"], other: ["other", "otherEpoch", "image"] };

/** Fill `element` with the network of `side`, and keep it up with the state. */
export function mountNetwork(element, { state, info }, side) {
  const message = h("p", { class: "network-message soft", role: "status" });
  const body = h("div", { class: "network-rows" });
  const hovered = h("p", { class: "hovered", "aria-hidden": "true" });
  const ask = newest();
  let drawn = null; // what draw answered
  replace(element, message, body, hovered);
  highlight(body, () => drawn, hovered);

  const open = (layer, channel) => state.set({ layer, channel, side });

  function follow() {
    const { run, epoch } = source(state, side);
    const { image } = state.get();
    if (run === null) return;
    const known = drawn?.run.name === run;
    if (!known) say("Reading the network …");
    element.setAttribute("aria-busy", "true");
    const network = known ? null : api.json("network", { run });
    ask(Promise.all([network, api.json("overview", { run, epoch, image })]), ([network, overview]) => {
      say(null);
      if (network) drawn = draw(body, network, info.runs.find(({ name }) => name === run), open);
      drawn.show(overview, { run, epoch, image });
    }, (error) => say(error.message));
  }

  /** A sentence in the place of the network, or null where it is shown. */
  function say(sentence) {
    message.textContent = sentence ?? "";
    message.hidden = sentence === null;
    body.hidden = sentence !== null;
    element.removeAttribute("aria-busy");
  }

  state.subscribe((_, changed) => WATCHED[side].some((key) => changed.has(key)) && follow());
  follow();
}

/**
 * Draw a network into `body`; `onPick(layer, channel)` is told of a click on a channel.
 *
 * Answers {run, rows, readers, show(overview, {run, epoch, image})}.
 */
function draw(body, network, run, onPick) {
  const image = {
    name: "image", kind: "image", inputs: [], shape: network.input_shape, settings: {},
    parameters: 0, multiply_adds: 0, receptive_field: null,
  };
  const rows = new Map([image, ...network.layers].map((row) => [row.name, row]));
  const readers = readersOf([...rows.values()]);
  const strips = []; // {row, strip, filters}: a row has two if it is the last one of a fold
  const folds = [];
  let current = null; // {overview, place: {run, epoch, image}}

  function stripOf(row) {
    const filters = seesImage(row, rows);
    const strip = createStrip(row, {
      filters,
      classes: row.name === network.output ? run.classes : null,
      onPick: (channel) => onPick(row.name, channel),
      askAll: () => api.tensor("activation", { ...current.place, layer: row.name }).then(fromTensor),
    });
    strips.push({ row, strip, filters });
    if (current) showStrip(strips.at(-1));
    return strip;
  }

  function showStrip({ row, strip, filters }) {
    strip.show(current.overview.layers[row.name]);
    if (!filters) return;
    const asked = current;
    const { run, epoch } = current.place;
    api.tensor("weights", { run, epoch, layer: row.name })
      .then(({ parts }) => asked === current && strip.showFilters(parts.weight))
      .catch((error) => notify(error.message));
  }

  function show(overview, place) {
    current = { overview, place };
    strips.forEach(showStrip);
  }

  /** Unfold what hides a row, and go there. */
  function go(name) {
    openAll(true, ({ names }) => names.has(name));
    const card = [...body.querySelectorAll("[data-row]")].find(({ dataset }) => dataset.row === name);
    card.scrollIntoView({ block: "center" });
    card.querySelector("button").focus({ preventScroll: true });
  }

  function openAll(open, those = () => true) {
    // Folds within a fold come into being when that one is opened, behind it in the list.
    for (let k = 0; k < folds.length; k++) if (those(folds[k])) folds[k].open(open);
  }

  const short = network.layers.length <= SHORT;
  const drawing = { modules: network.modules, readers, folds, short, strip: stripOf, go };
  const items = drawItems([{ row: image, branches: [] }, ...fold(arrange(network.layers))], drawing);
  const size = `${whole(network.layers.length)} layers, ${whole(network.total_parameters)} parameters`;
  const head = h("div", { class: "network-head" },
    h("h2", {}, network.modules[""]),
    h("span", { class: "soft" }, size),
    folds.length > 0 ? h("button", { type: "button", onclick: () => openAll(true) }, "Unfold all") : null,
    folds.length > 0 ? h("button", { type: "button", onclick: () => openAll(false) }, "Fold all") : null);
  replace(body, head, items);
  return { run, rows, readers, show };
}
