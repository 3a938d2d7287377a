// Images of a data set as buttons, a page at a time: those of the gallery, and those of a cell of the confusion matrix.

import * as api from "convscope/api.js";
import { h, replace } from "convscope/dom.js";
import { percent, whole } from "convscope/format.js";
import { imageName } from "convscope/images/names.js";
import { newest } from "convscope/latest.js";

/** The question for the first images of a run; an exported page holds the answer to this one alone. */
export const FIRST = { split: "test", order: "index", offset: 0, limit: 60 };

/** {total, images} that fit a question about a run: `images` are {id, label, predicted, confidence}. */
export async function findImages(question) {
  if (api.live) return api.json("images", { ...FIRST, ...question });
  const { images } = await api.json("images", { ...FIRST, run: question.run });
  const fits = (image, key, value) => value === null || value === undefined || image[key] === value;
  const asked = (image) => fits(image, "label", question.true) && fits(image, "predicted", question.predicted);
  const chosen = images.filter(asked);
  if (question.order === "confident") chosen.sort((a, b) => b.confidence - a.confidence);
  return { total: chosen.length, images: chosen };
}

/**
 * An image as a button with its class and a remark below; `name` is what it is called for those who do not see it.
 * Without `onclick` it can be looked at alone.
 */
export function thumbnail(id, { truth, remark, wrong, name }, onclick) {
  return h(
    "button",
    {
      type: "button", class: wrong ? "tile wrong" : "tile", title: name, "aria-label": name,
      disabled: !onclick, onclick,
    },
    h("img", { src: api.picture("thumbnail", { image: id }), alt: "", width: 64, height: 64, draggable: "false" }),
    h("span", {}, truth),
    remark && h("span", { class: "remark" }, remark),
  );
}

/** What is written below an image {id, label, predicted, confidence}, of which all but the id may be null. */
function describe({ id, label, predicted, confidence }, classes) {
  const truth = label === null ? "class unknown" : classes[label];
  const name = `${imageName(id)}: ${truth}`;
  if (predicted === null) return { truth, name };
  const wrong = label !== null && predicted !== label;
  const said = `predicted ${classes[predicted]} with ${percent(confidence)}${wrong ? ", wrong" : ""}`;
  const answer = label === predicted ? "✓" : `${wrong ? "✗ " : ""}${classes[predicted]}`;
  return { truth, wrong, remark: `${answer} ${percent(confidence, 0)}`, name: `${name}, ${said}` };
}

/** An element that shows the images of a question, and its function `show(question)`. */
export function createThumbnails({ state, info }) {
  const ask = newest();
  const count = h("p", { role: "status" }, "");
  const grid = h("div", { class: "tiles" });
  const back = h("button", { type: "button", onclick: () => turn(-1) }, "◀ Previous");
  const on = h("button", { type: "button", onclick: () => turn(1) }, "Next ▶");
  const pager = h("div", { class: "pager" }, back, on, count);
  const element = h("div", { class: "found", "aria-busy": "true" }, pager, grid);
  let question = null;
  let offset = 0;

  function show(next) {
    question = next;
    offset = 0;
    load();
  }

  function turn(pages) {
    offset += pages * FIRST.limit;
    load();
  }

  function load() {
    element.setAttribute("aria-busy", "true");
    ask(findImages({ ...question, offset }), fill, fail);
  }

  function fill({ total, images }) {
    element.setAttribute("aria-busy", "false");
    const last = offset + images.length;
    const none = api.live ? "No image fits." : "None of them is in this page.";
    const some = `Images ${whole(offset + 1)} to ${whole(last)} of ${whole(total)}`;
    count.textContent = total === 0 ? none : some;
    back.disabled = offset === 0;
    on.disabled = last >= total;
    back.hidden = on.hidden = total <= images.length;
    const open = (image) => () => state.set({ image: image.id, view: "network" });
    replace(grid, images.map((image) => thumbnail(image.id, describe(image, info.runs[0].classes), open(image))));
  }

  function fail(error) {
    element.setAttribute("aria-busy", "false");
    count.textContent = error.message;
    back.hidden = on.hidden = true;
    replace(grid);
  }

  return { element, show };
}
