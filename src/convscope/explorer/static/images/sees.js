// The image as the network sees it: brought to its size and normalised, with the numbers that the first layer gets.

import * as api from "convscope/api.js";
import { range } from "convscope/colour.js";
import { h } from "convscope/dom.js";
import { number, shape as sizes } from "convscope/format.js";
import { newest } from "convscope/latest.js";
import { source } from "convscope/state.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** A checkbox, whether it is checked, and of each side a canvas for its picture and a line of numbers. */
export function createSees({ state }) {
  const box = h("input", { type: "checkbox" });
  const control = h("label", { class: "sees" }, box, " Show it as the network sees it: resized and normalised");
  const sides = { main: createSide("main"), other: createSide("other") };

  function createSide(side) {
    const canvas = h("canvas", {
      class: "seen", hidden: true, tabindex: 0, role: "img", onpointermove: point, onkeydown: step,
    });
    const reading = h("p", { class: "reading soft", role: "status", hidden: true });
    const ask = newest();
    let seen = null; // {shape: [C, H, W], data}
    let [row, column] = [0, 0];

    function show() {
      const { run, epoch } = source(state, side);
      const wanted = box.checked && run !== null;
      reading.hidden = !wanted;
      if (!wanted) canvas.hidden = true;
      const answer = wanted
        ? api.tensor("activation", { run, epoch, image: state.get().image, layer: "image" })
        : Promise.resolve(null);
      ask(answer, (tensor) => tensor && fill(tensor), (error) => {
        canvas.hidden = true;
        reading.textContent = error.message;
      });
    }

    function fill(tensor) {
      seen = tensor;
      const [low, high] = draw(canvas, seen);
      canvas.hidden = false;
      reading.textContent = `${sizes(seen.shape)}, values from ${number(low)} to ${number(high)}`;
      const name = `What the network sees, ${reading.textContent}; the arrow keys read its pixels`;
      canvas.setAttribute("aria-label", name);
    }

    function point(event) {
      const [, height, width] = seen.shape;
      const [y, x] = [event.offsetY / canvas.clientHeight, event.offsetX / canvas.clientWidth];
      read(Math.floor(y * height), Math.floor(x * width));
    }

    function step(event) {
      const [down, right] = STEPS[event.key] ?? [0, 0];
      if (!down && !right) return;
      event.preventDefault();
      read(row + down, column + right);
    }

    function read(y, x) {
      const [channels, height, width] = seen.shape;
      row = Math.min(Math.max(y, 0), height - 1);
      column = Math.min(Math.max(x, 0), width - 1);
      const values = Array.from({ length: channels }, (_, c) => number(seen.data[(c * height + row) * width + column]));
      reading.textContent = `row ${row}, column ${column}: ${values.join(", ")}`;
    }
    return { canvas, reading, show };
  }

  function update() {
    for (const side of Object.values(sides)) side.show();
  }

  box.addEventListener("change", update);
  state.subscribe((_, changed) => {
    const relevant = ["image", "run", "epoch", "other", "otherEpoch"];
    if (relevant.some((key) => changed.has(key))) update();
  });
  return { control, shown: () => box.checked, ...sides };
}

/** Draw (1 or 3, H, W) in grey or colour, from black at the smallest value to white at the largest; returns these. */
function draw(canvas, { shape: [channels, height, width], data }) {
  const [low, high] = range(data);
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      const value = data[Math.min(c, channels - 1) * height * width + i];
      pixels.data[4 * i + c] = Math.round(255 * (low < high ? (value - low) / (high - low) : Number(value > 0)));
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return [low, high];
}
