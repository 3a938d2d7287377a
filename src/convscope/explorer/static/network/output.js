// What the network of one side answers: a sentence, and the probabilities of the classes as bars.

import * as api from "convscope/api.js";
import { h, replace } from "convscope/dom.js";
import { number, percent } from "convscope/format.js";
import { newest } from "convscope/latest.js";
import { answerOf, rank } from "convscope/network/verdict.js";
import { source } from "convscope/state.js";

const MOST = 10; // bars
const WATCHED = { main: ["run", "epoch", "image"], other: ["other", "otherEpoch", "image"] };

/** Fill `element` with the answer of `side`, and keep it up with the state. */
export function mountOutput(element, { state, info }, side) {
  const heading = h("h2");
  const verdict = h("p", { class: "verdict", role: "status" });
  const bars = h("ul", { class: "bars" });
  const ask = newest();
  let output = null; // name of the logits' row
  const legend = h("p", { class: "bar-row soft", "aria-hidden": "true" },
    h("span", { class: "bar-hint" }, "click one for its arithmetic"),
    h("span", { class: "bar-percent" }, "share"), h("span", { class: "bar-logit" }, "logit"));
  replace(element, heading, verdict, legend, bars);
  bars.addEventListener("click", ({ target }) => {
    const bar = target.closest("[data-class]");
    if (bar) state.set({ layer: output, channel: Number(bar.dataset.class), side });
  });

  function follow() {
    const { run, epoch } = source(state, side);
    const { image } = state.get();
    if (run === null) return;
    const known = info.runs.find(({ name }) => name === run);
    const age = epoch === "best" ? "best epoch" : `epoch ${epoch}`;
    const about = known ? `${known.model} on ${lastPart(known.data)}, ${age}` : "";
    replace(heading, run, " ", h("span", { class: "soft" }, about));
    const answers = [api.json("network", { run }), api.json("overview", { run, epoch, image })];
    ask(Promise.all(answers), ([network, overview]) => {
      output = network.output;
      show(overview, known.classes);
    }, (error) => {
      verdict.textContent = error.message;
      replace(bars);
    });
  }

  function show({ image, logits, probabilities }, classes) {
    const { predicted, sentence, right } = answerOf(probabilities, image.label, classes);
    verdict.textContent = sentence;
    verdict.className = right === null ? "verdict" : `verdict ${right ? "right" : "wrong"}`;
    // Few classes keep their places, so that images, epochs and runs can be compared; of many the likeliest are shown.
    const shown = classes.length <= MOST ? classes.keys() : rank(probabilities).slice(0, MOST);
    replace(bars, [...shown].map((index) => {
      const is = { answer: index === predicted, truth: index === image.label };
      return drawBar(index, classes[index], probabilities[index], logits[index], is);
    }));
  }

  state.subscribe((_, changed) => WATCHED[side].some((key) => changed.has(key)) && follow());
  follow();
}

/** The name of a folder without the way to it. */
function lastPart(path) {
  return path.split(/[\\/]/).filter(Boolean).at(-1);
}

function drawBar(index, name, probability, logit, is) {
  const fill = h("span", { class: "fill" });
  fill.style.width = percent(probability, 2);
  const words = [name, is.answer ? "the answer" : null, is.truth ? "the true class" : null].filter(Boolean).join(", ");
  const label = `${words}: ${percent(probability)}, logit ${number(logit)}`;
  const title = `${name}: how softmax makes it`; // a long name may be cut
  const bar = h("button", { type: "button", class: "bar-row", "data-class": index, "aria-label": label, title },
    h("span", { class: "bar-name" }, name, is.truth ? h("span", { class: "bar-true" }, "true") : null),
    h("span", { class: "track" }, fill),
    h("span", { class: "bar-percent" }, percent(probability)),
    h("span", { class: "bar-logit soft" }, number(logit)));
  return h("li", { class: is.answer ? "is-answer" : null }, bar);
}
