// What a first visitor needs to know, above the networks: how to read them, and how two of them differ.

import * as api from "convscope/api.js";
import { h, replace } from "convscope/dom.js";
import { newest } from "convscope/latest.js";
import { gradient } from "convscope/network/strip.js";
import { difference } from "convscope/network/verdict.js";
import { source } from "convscope/state.js";

const HOW_TO_READ = "From top to bottom: what each layer makes of the image. Each small picture is a channel; click " +
  "one to see how its values are computed, or a layer's name to read about it.";
const WATCHED = ["run", "epoch", "other", "otherEpoch", "image"];

/** Fill `element` with the legend and, while two runs are shown, the difference of their answers. */
export function mountGuide(element, { state, info }) {
  const sentence = h("p", { class: "difference", role: "status", hidden: true });
  const ask = newest();
  replace(element,
    h("p", {}, HOW_TO_READ),
    h("p", { class: "ramps soft" },
      ramp("below 0", "above 0", -1, 1),
      ramp("0", "largest, in layers without negative values", 0, 1)),
    sentence);

  function follow() {
    const { other, image } = state.get();
    const sides = ["main", "other"].map((side) => source(state, side));
    sentence.hidden = other === null;
    if (other === null) return;
    ask(Promise.all(sides.map((place) => api.json("overview", { ...place, image }))), (answers) => {
      const { classes } = info.runs[0];
      const [one, two] = answers.map(({ probabilities }, k) => ({ run: nameOf(sides, k), probabilities }));
      sentence.textContent = difference(one, two, answers[0].image.label, classes);
    }, (error) => (sentence.textContent = error.message));
  }

  state.subscribe((_, changed) => WATCHED.some((key) => changed.has(key)) && follow());
  follow();
}

/** The run, and its epoch where the same run stands on both sides. */
function nameOf(sides, k) {
  if (sides[0].run !== sides[1].run) return sides[k].run;
  return sides[k].epoch === "best" ? "the best epoch" : `epoch ${sides[k].epoch}`;
}

function ramp(lowest, highest, low, high) {
  const bar = h("span", { class: "ramp", "aria-hidden": "true" });
  bar.style.background = gradient(low, high);
  return h("span", {}, lowest, " ", bar, " ", highest);
}
