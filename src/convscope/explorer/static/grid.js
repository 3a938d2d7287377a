// A map as a grid of coloured cells, with its padding, the window that is looked at, and values where there is room.

import { colour, css, isLight, range } from "convscope/colour.js";
import { h } from "convscope/dom.js";
import { number } from "convscope/format.js";

const ROOM_FOR_TEXT = 38; // CSS pixels a side
const LARGE = 5; // cells below this many pixels are shown enlarged too
const NONE = [0, 0, 0, 0];
const NEAR = 8; // cells around the window in the enlarged part

/** [smallest, largest] of the values that are numbers; maps of one layer share it, so that colours can be compared. */
export function rangeOf(data) {
  const [low, high] = range(data.filter(Number.isFinite));
  return low <= high ? [low, high] : [0, 0];
}

/** Limits for values whose sign matters, such as weights: as far below zero as above. */
export function signed(data) {
  const reach = Math.max(...rangeOf(data).map(Math.abs)) || 1;
  return [-reach, reach];
}

/**
 * {element, show(window)}: a map as a picture of at most `size` CSS pixels. `margin` [top, left, bottom, right] counts
 * cells of padding. With `onPick(y, x)` its cells can be pointed at, and walked through by arrow keys.
 */
export function createGrid({ label, map, limits = rangeOf(map.data), margin = NONE, size = 300, onPick = null }) {
  const [above, before, below, after] = margin;
  const whole = { top: -above, left: -before, rows: map.height + above + below, columns: map.width + before + after };
  const cell = Math.max(1, Math.min(48, Math.floor(size / Math.max(whole.rows, whole.columns))));
  const picture = paintOnce(map, limits);
  const canvas = onPick
    ? h("canvas", { tabindex: 0, role: "application", "aria-label": `${label}. Arrow keys move from pixel to pixel.` })
    : h("canvas", { role: "img", "aria-label": label });
  const enlarged = cell < LARGE ? h("canvas", { role: "img", "aria-label": `${label}, enlarged` }) : null;
  const element = h("div", { class: "grid" }, canvas, enlarged);
  let current = null;

  if (onPick) {
    const pick = (y, x) => {
      const isInside = y >= 0 && y < map.height && x >= 0 && x < map.width;
      if (isInside && !Number.isNaN(map.data[y * map.width + x])) onPick(y, x);
    };
    const point = ({ clientX, clientY }) => {
      const box = canvas.getBoundingClientRect();
      const y = Math.floor(((clientY - box.top) / box.height) * whole.rows) + whole.top;
      const x = Math.floor(((clientX - box.left) / box.width) * whole.columns) + whole.left;
      pick(y, x);
    };
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step || !current) return;
      event.preventDefault();
      pick(current.top + step[0], current.left + step[1]);
    });
  }

  function show(window) {
    current = window;
    draw(canvas, { map, picture, limits, view: whole, cell, window });
    if (enlarged && window) {
      const view = around(window, whole);
      const large = Math.floor(size / Math.max(view.rows, view.columns));
      draw(enlarged, { map, picture, limits, view, cell: large, window });
    }
  }
  show(null);
  return { element, show };
}

/** The part of `whole` near a window. */
function around(window, whole) {
  const rows = Math.min(2 * NEAR + (window.rows - 1) * window.down + 1, whole.rows);
  const columns = Math.min(2 * NEAR + (window.columns - 1) * window.right + 1, whole.columns);
  const within = (start, least, most) => Math.min(Math.max(start, least), most);
  const top = within(window.top - NEAR, whole.top, whole.top + whole.rows - rows);
  const left = within(window.left - NEAR, whole.left, whole.left + whole.columns - columns);
  return { top, left, rows, columns };
}

/** The map with a pixel a cell, which is drawn large again and again; cells that are no number stay clear. */
function paintOnce({ data, height, width }, [low, high]) {
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    if (!Number.isNaN(data[i])) pixels.data.set([...colour(data[i], low, high), 255], 4 * i);
  }
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function draw(canvas, { map, picture, limits, view, cell, window }) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [view.columns * cell, view.rows * cell];
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.width = `${width}px`;
  canvas.style.aspectRatio = `${width} / ${height}`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.translate(-view.left * cell, -view.top * cell);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, 0, 0, map.width * cell, map.height * cell);
  if (cell >= ROOM_FOR_TEXT) writeValues(pen, map, limits, cell);
  if (window) outline(pen, window, cell);
}

function writeValues(pen, { data, height, width }, [low, high], cell) {
  pen.font = `${Math.round(cell / 4)}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = data[y * width + x];
      if (Number.isNaN(value)) continue;
      pen.fillStyle = isLight(value, low, high) ? "#000" : "#fff";
      pen.fillText(number(Number(value.toPrecision(2))), (x + 0.5) * cell, (y + 0.5) * cell, cell - 4);
    }
  }
}

/** Light on dark, so that it is seen on every colour. Cells of a dilated window are framed one by one. */
function outline(pen, { top, left, rows, columns, down, right }, cell) {
  const frames = [];
  if (down === 1 && right === 1) {
    frames.push([left * cell, top * cell, columns * cell, rows * cell]);
  } else {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) frames.push([(left + j * right) * cell, (top + i * down) * cell, cell, cell]);
    }
  }
  for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    for (const [x, y, across, high] of frames) pen.strokeRect(x + 1, y + 1, across - 2, high - 2);
  }
}

/**
 * A small table of numbers on their colours: a patch, a kernel, their products. `marked` is framed; values that are
 * null lie in the padding, which counts as `outside`.
 */
export function matrix({ caption, values, columns, limits = signed(values), marked = null, outside = "0" }) {
  const cellOf = (value, k) => {
    const cell = h("td", { class: k === marked ? "marked" : null }, value === null ? outside : number(value));
    if (value === null) {
      cell.classList.add("padding");
      cell.title = "padding";
    } else {
      cell.style.background = css(value, ...limits);
      cell.style.color = isLight(value, ...limits) ? "#000" : "#fff";
    }
    return cell;
  };
  const rows = Array.from({ length: values.length / columns }, (_, i) =>
    h("tr", {}, values.slice(i * columns, (i + 1) * columns).map((value, j) => cellOf(value, i * columns + j))));
  return h("table", { class: "matrix" }, h("caption", {}, caption), h("tbody", {}, rows));
}

/** A small picture of a map for lists. */
export function thumbnail(map, limits, label, side = 56) {
  const canvas = paintOnce(map, limits);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  canvas.className = "thumbnail";
  canvas.style.width = `${side}px`;
  canvas.style.height = `${Math.max(6, Math.round((side * map.height) / map.width))}px`;
  return canvas;
}
