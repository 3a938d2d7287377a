// The way from one image to others.

import { live } from "convscope/api.js";
import { h, notify } from "convscope/dom.js";
import { FIRST, findImages } from "convscope/images/thumbnails.js";
import { newest } from "convscope/latest.js";

/** Buttons to the image before and after, to any, and to those that the network got wrong. */
export function createWalk({ state, info }) {
  const ask = newest();
  let embedded = []; // names of the images that an exported page holds
  let mistakes = 0; // how many were shown already

  const back = button("◀", "The image before", () => go(-1));
  const on = button("▶", "The next image", () => go(1));
  const any = button("Random", "Any image", () => open(Math.floor(Math.random() * length())));
  const wrong = button("Mistakes", "The next image that the network got wrong, the surest mistakes first", nextMistake);

  function button(text, title, onclick) {
    return h("button", { type: "button", title, "aria-label": title, onclick }, text);
  }

  /** "test" or "train"; from an image of one's own the way leads back to the images to test. */
  function split() {
    const name = state.get().image.split("/")[0];
    return name in info.splits ? name : "test";
  }

  function length() {
    return live ? info.splits[split()] : embedded.length;
  }

  /** Place of the shown image among them; −1 for one's own. */
  function place() {
    const { image } = state.get();
    return live ? (image.startsWith(`${split()}/`) ? Number(image.split("/")[1]) : -1) : embedded.indexOf(image);
  }

  function open(index) {
    state.set({ image: live ? `${split()}/${index}` : embedded[index] });
  }

  function go(step) {
    open(Math.min(Math.max(place() + step, 0), length() - 1));
  }

  function nextMistake() {
    const { run } = state.get();
    const question = { ...FIRST, run, wrong: 1, order: "confident", limit: 1, offset: mistakes };
    ask(findImages(question), ({ total, images }) => {
      if (total === 0) return notify(`The run ${run} made no mistakes on the images to test.`);
      mistakes = (mistakes + 1) % total;
      state.set({ image: images[0].id });
    }, (error) => notify(error.message));
  }

  function show() {
    back.disabled = place() <= 0;
    on.disabled = place() >= length() - 1;
    any.disabled = length() < 2;
    wrong.disabled = info.splits.test === 0;
  }

  state.subscribe((_, changed) => {
    if (changed.has("run")) mistakes = 0;
    show();
  });
  if (live) show();
  else {
    ask(findImages({ run: state.get().run }), ({ images }) => {
      embedded = images.map(({ id }) => id);
      show();
    }, (error) => notify(error.message));
  }
  return h("div", { class: "walk" }, back, on, any, live ? wrong : null);
}
