// The channels of one row as small pictures, a button each.

import { css, paint } from "convscope/colour.js";
import { h, notify, replace } from "convscope/dom.js";
import { number, whole } from "convscope/format.js";
import { paintFilter } from "convscope/network/filters.js";
import { fromOverview, limitsOf } from "convscope/network/heat.js";
import { channelName } from "convscope/network/words.js";

const TOP = { map: 12, cell: 64 }; // how many of a row's channels an overview shows
const MOST = 4096; // buttons that a browser still draws at once

// Only what is near the screen is painted; of a network of hundreds of rows that is little.
const painters = new WeakMap();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) painters.get(target)(isIntersecting);
}, { rootMargin: "400px" });

/**
 * {element, tools, show(layer of an overview), showFilters({shape, data})} for the channels of `row`.
 *
 * `onPick(channel)` is told of a click. `askAll()` answers all channels as heat.js's Shown. `classes` are the names of
 * the units, or null. With `filters` each map stands below the kernel that made it.
 */
export function createStrip(row, { classes, filters, onPick, askAll }) {
  const kind = row.shape.length === 3 ? "map" : "cell";
  const top = Math.min(TOP[kind], row.shape[0]);
  const scale = createScale();
  const total = row.shape[0];
  const listeners = { onclick: pick, onkeydown: move, onfocusin: rove };
  const channels = h("div", { class: `channels of-${kind}s`, role: "group", ...listeners });
  const more = h("button", { type: "button", class: "more", onclick: toggle }, `all ${whole(total)}`);

  let shown = null; // see heat.js
  let kernels = null;
  let overview = null; // of this row, the newest one
  let near = false;
  let painted = true;
  let all = false;
  arrange(top);
  painters.set(channels, (isNear) => { near = isNear; draw(); });
  watcher.observe(channels);

  /** As many buttons as are needed; those that are there stay, so that nothing flickers and the focus is kept. */
  function arrange(count) {
    while (channels.children.length > count) channels.lastChild.remove();
    while (channels.children.length < count) channels.append(button(kind, filters));
    if (!channels.querySelector("[tabindex='0']")) channels.firstChild.tabIndex = 0;
    const part = count < total ? `the strongest ${count} of ${whole(total)}` : whole(total);
    const noun = kind === "map" ? "channels" : "units";
    channels.setAttribute("aria-label", `${row.name}: ${part} ${noun}, arrow keys move`);
  }

  function update(next) {
    shown = next;
    arrange(shown.cells.length);
    shown.cells.forEach(({ channel, low, high }, k) => {
      const place = channels.children[k];
      place.dataset.channel = channel;
      place.setAttribute("aria-label", `${channelName(row, channel, classes)}, ${reachOf(low, high)}`);
    });
    scale.show(limitsOf(shown.cells));
    painted = false;
    draw();
  }

  function draw() {
    if (!near || painted || shown === null) return;
    painted = true;
    const limits = limitsOf(shown.cells);
    shown.cells.forEach(({ channel, values }, k) => {
      const place = channels.children[k];
      if (kind === "cell") place.style.backgroundColor = css(values[0], ...limits);
      else paint(place.lastChild, values, ...shown.size, ...limits);
      if (kernels) paintFilter(place.firstChild, kernels, channel);
    });
  }

  function toggle() {
    all = !all;
    more.textContent = all ? `only ${top}` : `all ${whole(total)}`;
    show(overview);
  }

  async function show(layer) {
    overview = layer;
    if (!all) return update(fromOverview(layer));
    try {
      const next = await askAll();
      if (all && overview === layer) update(next);
    } catch (error) {
      notify(error.message);
    }
  }

  function showFilters(weight) {
    kernels = weight;
    painted = false;
    draw();
  }

  function pick({ target }) {
    const place = target.closest("[data-channel]");
    if (place) onPick(Number(place.dataset.channel));
  }

  /** The arrow keys go along the row; Tab goes on to the next one. */
  function move(event) {
    const places = [...channels.children];
    const here = places.indexOf(document.activeElement);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: places.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    places[Math.min(Math.max(to, 0), places.length - 1)].focus();
  }

  function rove({ target }) {
    for (const place of channels.querySelectorAll("[tabindex='0']")) place.tabIndex = -1;
    target.tabIndex = 0;
  }

  const tools = h("span", { class: "strip-tools" }, scale.element, total > top && total <= MOST ? more : null,
    filters ? h("span", { class: "soft" }, "above each map: its kernel") : null);
  return { element: channels, tools, show, showFilters };
}

function reachOf(low, high) {
  if (low === null) return "not a number";
  return low === high ? number(low) : `from ${number(low)} to ${number(high)}`;
}

function button(kind, filters) {
  const canvases = kind === "cell" ? [] : [filters ? h("canvas", { class: "filter" }) : null, h("canvas")];
  return h("button", { type: "button", class: `channel-${kind}`, tabindex: "-1" }, canvases);
}

/** What the colours of a row mean: from its lowest value to its highest. */
function createScale() {
  const [low, bar, high] = [h("span"), h("span", { class: "ramp" }), h("span")];
  function show(limits) {
    if (!Number.isFinite(limits[0])) return;
    replace(low, short(limits[0]));
    replace(high, short(limits[1]));
    bar.style.background = gradient(...limits);
  }
  return { element: h("span", { class: "ends soft" }, low, bar, high), show };
}

function short(value) {
  return number(Number(value.toPrecision(2)));
}

/** The colours from `low` to `high`, for CSS. */
export function gradient(low, high) {
  const stops = Array.from({ length: 9 }, (_, k) => css(low + (k / 8) * (high - low), low, high));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
