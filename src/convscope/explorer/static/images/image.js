// The image that goes through the network: how it looks, what it is, the way to others, and what can be laid over it.

import * as api from "convscope/api.js";
import { h, replace } from "convscope/dom.js";
import { percent } from "convscope/format.js";
import { createAdding } from "convscope/images/add.js";
import { imageName } from "convscope/images/names.js";
import { createNeighbours } from "convscope/images/neighbours.js";
import { createOverlay } from "convscope/images/overlay.js";
import { createSees } from "convscope/images/sees.js";
import { createWalk } from "convscope/images/walk.js";
import { newest } from "convscope/latest.js";
import { source } from "convscope/state.js";

const SMOOTH = 100; // pixels a side from which a picture is a photo rather than a few squares

export function mountImage(aside, context) {
  const { state, info } = context;
  const { classes } = info.runs[0];
  const overlay = createOverlay(context);
  const sees = createSees(context);
  const neighbours = createNeighbours(context);
  const adding = api.live && info.can_upload ? createAdding(context) : null;
  const ask = newest();
  const title = h("h2");
  const truth = h("p", { class: "truth" });
  const answer = h("p", { class: "answer" });
  const figures = { main: figure("main"), other: figure("other") };

  replace(
    aside,
    adding?.panels,
    h("div", { class: "looks" }, figures.main.element, figures.other.element),
    h("div", { class: "about" }, title, truth, answer, createWalk(context)),
    adding?.element,
    h("details", { class: "under", open: state.get().method !== null },
      h("summary", {}, "What it looks at"), overlay.controls, sees.control),
    neighbours.element,
  );

  /** The picture as one side's network gets it, with what lies over it. */
  function figure(side) {
    const picture = h("img", { draggable: "false", onload: fit });
    const frame = h("div", { class: "frame" }, picture, sees[side].canvas, overlay[side].canvas);
    const name = h("span", { class: "run soft" });
    const element = h("figure", {}, frame, h("figcaption", {}, name, overlay[side].legend, sees[side].reading));

    function fit() {
      frame.style.aspectRatio = `${picture.naturalWidth} / ${picture.naturalHeight}`;
      frame.classList.toggle("smooth", picture.naturalWidth >= SMOOTH);
    }

    function show() {
      const { run } = source(state, side);
      const { image, other, method } = state.get();
      // A second picture is worth its place when something different lies over it.
      element.hidden = side === "other" && (other === null || (method === null && !sees.shown()));
      if (element.hidden) return;
      const place = api.picture("picture", { image, run });
      if (picture.getAttribute("src") !== place) picture.src = place;
      picture.alt = imageName(image);
      name.textContent = other === null ? "" : run;
    }
    return { element, show };
  }

  function show() {
    for (const one of Object.values(figures)) one.show();
  }

  function showAnswer() {
    const { image } = state.get();
    title.textContent = imageName(image);
    aside.setAttribute("aria-busy", "true");
    ask(api.json("overview", { image, ...source(state, "main") }), fill, (error) => {
      aside.setAttribute("aria-busy", "false");
      truth.textContent = "";
      answer.textContent = error.message;
      answer.className = "answer";
      neighbours.show(null);
    });
  }

  function fill({ image: { label }, probabilities }) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    aside.setAttribute("aria-busy", "false");
    truth.textContent = label === null ? "True class: unknown" : `True class: ${classes[label]}`;
    const verdict = label === null ? "Predicted" : best === label ? "✓ Right" : "✗ Wrong";
    answer.className = label === null ? "answer" : `answer ${best === label ? "right" : "wrong"}`;
    answer.textContent = `${verdict}: ${classes[best]}, ${percent(probabilities[best])}`;
    neighbours.show(label);
  }

  sees.control.addEventListener("change", show);
  state.subscribe((_, changed) => {
    show();
    if (["image", "run", "epoch"].some((key) => changed.has(key))) showAnswer();
  });
  show();
  showAnswer();
}
