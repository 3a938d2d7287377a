// The picture that most layers share: maps that are read, the map that comes out, and a window that slides.

import { h, replace } from "convscope/dom.js";
import { number } from "convscope/format.js";
import { createGrid, rangeOf } from "convscope/grid.js";
import { createPlayer } from "convscope/player.js";

/**
 * {element, setInputs(inputs)}. `inputs` are {label, map, windowAt, limits}, with `sign` written between them and
 * `lastSign` before `output`, which is {label, map}. `onPixel(y, x)` is told of each pixel of the output that is chosen
 * by pointer, arrow keys or the player, and answers the sentence that screen readers hear. `count` pixels are real;
 * others fill the last row.
 */
export function createSlide({
  inputs, sign, lastSign = "→", output, subject, onPixel, count = output.map.data.length,
}) {
  const { map } = output;
  const size = inputs.length > 2 ? 230 : 300;
  let [row, column] = startOf(map, subject.place, count);
  const spoken = h("p", { class: "visually-hidden", role: "status" });
  const result = createGrid({ ...output, size, onPick: (y, x) => { player.pause(); go(y, x); } });
  const player = createPlayer({
    count,
    signal: subject.signal,
    place: () => row * map.width + column,
    move: (place) => go(Math.floor(place / map.width), place % map.width),
  });
  const sources = inputs.map(() => h("figure"));
  const readers = [];
  inputs.forEach(fill);

  function fill(input, k) {
    const margin = marginOf(input.map, map, input.windowAt);
    readers[k] = { windowAt: input.windowAt, grid: createGrid({ ...input, size, margin }) };
    replace(sources[k], caption(input, margin), readers[k].grid.element);
  }

  function go(y, x) {
    [row, column] = [y, x];
    subject.remember(y, x);
    for (const { windowAt, grid } of readers) grid.show(windowAt(y, x));
    result.show({ top: y, left: x, rows: 1, columns: 1, down: 1, right: 1 });
    const sentence = onPixel(y, x);
    if (!player.playing()) spoken.textContent = sentence;
  }

  const between = (text) => h("span", { class: "sign", "aria-hidden": "true" }, text);
  const element = h("div", { class: "slide" },
    h("div", { class: "maps" },
      sources.map((figure, k) => [k > 0 ? between(sign) : null, figure]),
      inputs.length > 0 ? between(lastSign) : null,
      h("figure", {}, caption(output), result.element)),
    count > 1 ? player.element : null,
    spoken);
  go(row, column);
  return {
    element,
    setInputs(others) {
      others.forEach(fill);
      go(row, column);
    },
  };
}

/** A slide, with what it tells beside it where there is room. */
export function workbench(slide, steps) {
  return h("div", { class: "workbench" }, slide, steps);
}

/** Where one looked last, or else the brightest pixel. */
function startOf(map, place, count) {
  if (place && place[0] < map.height && place[1] < map.width && place[0] * map.width + place[1] < count) return place;
  let best = 0;
  for (let i = 1; i < count; i++) if (map.data[i] > map.data[best]) best = i;
  return [Math.floor(best / map.width), best % map.width];
}

/** How far the windows of the first and the last pixel reach beyond the map: [top, left, bottom, right]. */
function marginOf(map, output, windowAt) {
  const first = windowAt(0, 0);
  const last = windowAt(output.height - 1, output.width - 1);
  const bottom = last.top + (last.rows - 1) * last.down + 1 - map.height;
  const right = last.left + (last.columns - 1) * last.right + 1 - map.width;
  return [-first.top, -first.left, bottom, right].map((cells) => Math.max(0, cells));
}

function caption({ label, map }, margin = [0]) {
  const [low, high] = rangeOf(map.data);
  const padded = Math.max(...margin) > 0 ? ", padded" : "";
  const facts = `${map.height} × ${map.width}${padded}; ${number(low)} to ${number(high)}`;
  return h("figcaption", {}, label, h("span", { class: "soft" }, facts));
}
