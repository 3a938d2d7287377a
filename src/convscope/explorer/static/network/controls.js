// Which runs are shown, and how far they had been trained.

import * as api from "convscope/api.js";
import { h, notify, replace } from "convscope/dom.js";
import { source } from "convscope/state.js";

const PAUSE = 500; // milliseconds between the epochs of a film

/** Fill `element` with the choice of runs, where there are several, and of epochs, where they were kept. */
export function mountControls(element, { state, info }) {
  const names = info.runs.map(({ name }) => name);
  const none = { value: "", text: "nothing" };
  const options = names.map((name) => ({ value: name, text: name }));
  const parts = [];
  if (names.length > 1) {
    parts.push(select("Run", "run", options, (run) => ({ run, epoch: "best" })));
    const beside = (other) => ({ other: other || null, otherEpoch: "best" });
    parts.push(select("Beside it", "other", [none, ...options], beside));
  } else if (info.runs[0].epochs.length > 0) {
    // One run can stand beside itself, at another epoch.
    const itself = { value: names[0], text: "another epoch" };
    parts.push(select("Beside it", "other", [none, itself], (other) => ({ other: other || null })));
  }
  const sliders = { main: createSlider(state, info, "main"), other: createSlider(state, info, "other") };
  replace(element, parts.map((part) => part.element), sliders.main.element, sliders.other.element);

  function select(label, key, choices, change) {
    const field = h("select", { id: `choice-of-${key}`, onchange: () => state.set(change(field.value)) },
      choices.map(({ value, text }) => h("option", { value }, text)));
    const show = () => (field.value = state.get()[key] ?? "");
    const element = h("span", { class: "choice" }, h("label", { class: "soft", for: field.id }, label), field);
    return { element, show };
  }

  function show() {
    for (const part of [...parts, sliders.main, sliders.other]) part.show();
  }

  state.subscribe(show);
  show();
}

/** A slider over the epochs of a side's run, the best one at its end, with a button that plays them. */
function createSlider(state, info, side) {
  const key = side === "main" ? "epoch" : "otherEpoch";
  const text = h("output", { class: "epoch" });
  const range = h("input", { type: "range", min: 0, step: 1, oninput: moved });
  const play = h("button", { type: "button", onclick: () => (timer === null ? start() : pause()) });
  const label = h("span", { class: "soft" });
  const element = h("span", { class: "epochs", role: "group" }, h("label", {}, label, " ", range), text, play);
  let timer = null;
  let epochs = [];

  function moved() {
    const place = Number(range.value);
    pause(); // which puts the slider where the state is
    choose(place);
  }

  const choose = (place) => state.set({ [key]: String(epochs[place]) });
  const nameOf = (epoch) => (epoch === "best" ? "best" : `epoch ${epoch}`);

  function start() {
    const place = Number(range.value);
    choose(place === epochs.length - 1 ? 0 : place);
    step();
    show();
  }

  /** The next epoch is shown once it has been computed, so that a large network's film has all its pictures. */
  function step() {
    timer = setTimeout(async () => {
      const mine = timer;
      const place = Number(range.value) + 1;
      const { run } = source(state, side);
      try {
        await api.json("overview", { run, epoch: epochs[place], image: state.get().image });
      } catch (error) {
        notify(error.message);
        if (mine === timer) pause();
      }
      if (mine !== timer) return;
      choose(place);
      if (place < epochs.length - 1) step();
      else pause();
    }, PAUSE);
  }

  function pause() {
    clearTimeout(timer);
    timer = null;
    show();
  }

  function show() {
    const { run, epoch } = source(state, side);
    const kept = info.runs.find(({ name }) => name === run)?.epochs ?? [];
    epochs = [...kept, "best"];
    element.hidden = kept.length === 0;
    const alone = state.get().other === null;
    label.textContent = side === "other" ? "Epoch of the second" : alone ? "Epoch" : "Epoch of the first";
    range.max = kept.length;
    range.value = epochs.findIndex((each) => String(each) === epoch);
    range.setAttribute("aria-valuetext", nameOf(epoch));
    text.textContent = nameOf(epoch);
    play.textContent = timer === null ? "Play" : "Pause";
  }

  return { element, show };
}
