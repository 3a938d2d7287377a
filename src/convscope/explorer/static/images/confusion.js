// Which classes are taken for which, and from each count to the images behind it.

import * as api from "convscope/api.js";
import { h, replace } from "convscope/dom.js";
import { percent, whole } from "convscope/format.js";
import { confusedPairs, createMatrix } from "convscope/images/matrix.js";
import { createThumbnails } from "convscope/images/thumbnails.js";
import { newest } from "convscope/latest.js";

const MOST_CLASSES = 40; // of more the table is too large to be read
const PAIRS = 10;

export function mountConfusion(section, { state, info }) {
  const { classes } = info.runs[0];
  const ask = newest();
  const found = createThumbnails({ state, info });
  const heading = h("h3", { role: "status" });
  const images = h(
    "section", { class: "cell-images", "aria-label": "Images of a cell", hidden: true }, heading, found.element,
  );
  const matrices = h("div", { class: "matrices" });
  replace(
    section,
    h("h2", {}, "Confusions"),
    h("p", { class: "soft" },
      "The test images by their true class (rows) and by what the network took them for (columns). ",
      "The stronger a cell's colour, the larger its share of the row. Choose a number to see its images."),
    h("div", { class: "confusions" }, matrices, images),
  );
  let shown = ""; // the runs whose matrices are on the page

  function show() {
    const { view, run, other } = state.get();
    const runs = other === null || other === run ? [run] : [run, other];
    if (view !== "confusion" || shown === runs.join("\n")) return;
    shown = runs.join("\n");
    images.hidden = true;
    replace(matrices, h("p", { role: "status" }, "The matrix is being read …"));
    ask(
      Promise.all(runs.map((name) => api.json("confusion", { run: name }))),
      (answers) => replace(matrices, answers.map(({ matrix }, index) => one(runs[index], matrix, runs.length === 1))),
      (error) => {
        shown = "";
        replace(matrices, h("p", { role: "alert" }, error.message));
      },
    );
  }

  /** The matrix of one run, and its most frequent confusions in words. */
  function one(run, matrix, alone) {
    const total = matrix.flat().reduce((sum, count) => sum + count, 0);
    const right = matrix.reduce((sum, row, label) => sum + row[label], 0);
    const caption = `${run}: ${whole(right)} of ${whole(total)} right (${percent(right / (total || 1))})`;
    const choose = (label, predicted) => open(run, matrix, label, predicted);
    const pair = ({ label, predicted, count }) =>
      h("li", {}, h("button", { type: "button", onclick: () => choose(label, predicted) },
        `${classes[label]} taken for ${classes[predicted]}: ${whole(count)}`));
    const pairs = confusedPairs(matrix, PAIRS);
    return h(
      "div",
      { class: "of-run" },
      classes.length <= MOST_CLASSES
        ? h("div", { class: "scroll" }, createMatrix(matrix, classes, caption, choose))
        : h("p", {}, `${caption}. For ${classes.length} classes only the most frequent confusions are shown.`),
      h("details", { open: alone && matchMedia("(min-width: 50rem)").matches }, h("summary", {}, "Most frequent confusions"),
        pairs.length ? h("ol", { class: "pairs" }, pairs.map(pair)) : h("p", {}, "There are none.")),
    );
  }

  function open(run, matrix, label, predicted) {
    const verb = label === predicted ? "recognised" : `taken for ${classes[predicted]}`;
    const count = matrix[label][predicted];
    const much = count === 1 ? "1 image" : `${whole(count)} images, the most confident first`;
    heading.textContent = `${classes[label]} ${verb}: ${much}`;
    if (info.runs.length > 1) heading.textContent += ` (${run})`;
    images.hidden = false;
    found.show({ run, split: "test", true: label, predicted, order: "confident" });
    // Beside the matrix they are seen at once; below it only when the page moves.
    if (images.getBoundingClientRect().top > innerHeight / 2) images.scrollIntoView();
  }

  state.subscribe(show);
  show();
}
