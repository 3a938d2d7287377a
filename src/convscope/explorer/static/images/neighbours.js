// The training images that are most alike to the image in the network's eyes: close in what its last layer gets.

import * as api from "convscope/api.js";
import { h, replace } from "convscope/dom.js";
import { number, percent, whole } from "convscope/format.js";
import { imageName } from "convscope/images/names.js";
import { thumbnail } from "convscope/images/thumbnails.js";
import { newest } from "convscope/latest.js";
import { source } from "convscope/state.js";

const PAUSE = 700; // milliseconds between two questions, while the server computes

/** An element to be opened, and show(class of the image or null) for when there is another image. */
export function createNeighbours({ state, info }) {
  const { classes } = info.runs[0];
  const ask = newest();
  const says = h("p", { class: "soft", role: "status" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Training images searched", hidden: true });
  const grid = h("div", { class: "tiles" });
  const element = h("details", { class: "nearest under", ontoggle: () => load() },
    h("summary", {}, "Nearest training images"), says, bar, grid);
  let label = null;
  let timer = null;

  function load() {
    clearTimeout(timer);
    if (!element.open) return; // the first answer costs a walk through the training images
    element.setAttribute("aria-busy", "true");
    ask(api.json("neighbours", { image: state.get().image, ...source(state, "main") }), fill, (error) => {
      element.setAttribute("aria-busy", "false");
      bar.hidden = true;
      says.textContent = error.message;
      replace(grid);
    });
  }

  function fill(answer) {
    element.setAttribute("aria-busy", "false");
    const ready = answer.state === "ready";
    bar.hidden = ready;
    bar.value = answer.progress;
    if (!ready) {
      says.textContent = "The network looks through the training images, once.";
      timer = setTimeout(load, PAUSE);
    } else {
      const same = answer.images.filter((image) => image.label === label).length;
      const count = label === null ? "" : ` ${same} of ${answer.images.length} share its class.`;
      const searched = `${whole(answer.searched)} training images`;
      says.textContent = `Those whose input to the last layer is most similar (cosine), of ${searched}.${count}`;
    }
    replace(grid, answer.images.map(one));
  }

  function one(image) {
    const other = label !== null && image.label !== label;
    const truth = classes[image.label];
    const kin = label === null ? "" : other ? ", another class" : ", the same class";
    const name = `${imageName(image.id)}: ${truth}${kin}, similarity ${number(image.similarity)}`;
    const remark = `${other ? "✗ " : label === null ? "" : "✓ "}${percent(image.similarity, 0)}`;
    // An exported page knows no more of them than how they look.
    const open = api.live ? () => state.set({ image: image.id }) : null;
    return thumbnail(image.id, { truth, remark, wrong: other, name }, open);
  }

  return {
    element,
    show(next) {
      label = next;
      load();
    },
  };
}
