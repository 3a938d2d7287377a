// A pad to draw on: the network answers while one draws.

import * as api from "convscope/api.js";
import { h } from "convscope/dom.js";
import { named } from "convscope/images/names.js";

const SIDE = 280; // pixels: ten for each of FashionMNIST's
const PAUSE = 120; // milliseconds between a stroke and the answer to it
const STEPS = { ArrowUp: [0, -10], ArrowDown: [0, 10], ArrowLeft: [-10, 0], ArrowRight: [10, 0] };

/** A button that opens the pad, and the panel with it; each drawing goes to give(blob, follows). */
export function createPad({ state, info }, give) {
  const dark = info.runs[0].border < 0.5; // the background of the images that the network was trained on
  const canvas = h("canvas", {
    width: SIDE, height: SIDE, tabindex: 0, role: "img",
    "aria-label": "Drawing pad: draw with the mouse or a finger, or with the arrow keys while Shift is held",
    onpointerdown: begin, onpointermove: move, onkeydown: step,
  });
  const cursor = h("div", { class: "cursor", "aria-hidden": "true" });
  const brush = h("input", { type: "range", min: 8, max: 100, value: 28, oninput: showCursor });
  const shade = h("input", { type: "range", min: 0, max: 100, value: 100 });
  const panel = h("div", { class: "pad", hidden: true, onkeydown: (event) => event.key === "Escape" && open(false) },
    h("div", { class: "frame" }, canvas, cursor),
    named("Brush", brush),
    named(dark ? "Light" : "Dark", shade),
    h("div", { class: "buttons" },
      h("button", { type: "button", onclick: clear }, "Clear"),
      h("button", { type: "button", onclick: copy, title: "Copy what is shown, to change it" }, "Copy image"),
      h("button", { type: "button", onclick: () => open(false) }, "Close")));
  const button = h("button", { type: "button", "aria-expanded": "false", onclick: () => open(panel.hidden) }, "Draw");
  const pen = canvas.getContext("2d");
  let place = [SIDE / 2, SIDE / 2];
  let drawn = null; // name of the last drawing that was shown
  let changed = false;
  let sending = false;

  function open(wanted) {
    panel.hidden = !wanted;
    button.setAttribute("aria-expanded", String(wanted));
    if (wanted) canvas.focus();
    else button.focus();
  }

  function grey(share) {
    const level = Math.round(255 * (dark ? share : 1 - share));
    return `rgb(${level} ${level} ${level})`;
  }

  function wipe() {
    pen.fillStyle = grey(0);
    pen.fillRect(0, 0, SIDE, SIDE);
  }

  function clear() {
    wipe();
    canvas.focus();
  }

  async function copy() {
    const picture = new Image();
    picture.src = api.picture("picture", { image: state.get().image });
    await picture.decode();
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, 0, 0, SIDE, SIDE);
  }

  /** A stroke from where the brush is to `next`; a dot where that is the same place. */
  function stroke(next) {
    pen.lineCap = "round";
    pen.lineWidth = brush.value;
    pen.strokeStyle = grey(shade.value / 100);
    pen.beginPath();
    pen.moveTo(...place);
    pen.lineTo(...next);
    pen.stroke();
    place = next;
    answer();
  }

  function at(event) {
    const scale = SIDE / canvas.clientWidth;
    return [event.offsetX * scale, event.offsetY * scale];
  }

  function begin(event) {
    canvas.setPointerCapture(event.pointerId);
    place = at(event);
    stroke(place);
  }

  function move(event) {
    if (event.buttons === 0) return;
    for (const point of event.getCoalescedEvents?.() ?? [event]) stroke(at(point));
  }

  function step(event) {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    const next = STEPS[event.key].map((distance, axis) => Math.min(Math.max(place[axis] + distance, 0), SIDE));
    if (event.shiftKey) stroke(next);
    else place = next;
    showCursor();
  }

  function showCursor() {
    const per = (pixels) => `${(100 * pixels) / SIDE}%`;
    cursor.style.width = cursor.style.height = per(brush.value);
    cursor.style.left = per(place[0] - brush.value / 2);
    cursor.style.top = per(place[1] - brush.value / 2);
  }

  /** Ask about the drawing: one question at a time, and always a last one about what is drawn in the end. */
  async function answer() {
    changed = true;
    if (sending) return;
    sending = true;
    while (changed) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      changed = false;
      const drawing = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
      const before = drawn;
      drawn = (await give(drawing, state.get().image === before).catch(() => null))?.id ?? drawn;
    }
    sending = false;
  }

  wipe();
  showCursor();
  return { button, panel };
}
