// The images of the data set, filtered and in order: one of them goes through the network at a click.

import { live } from "convscope/api.js";
import { h, replace } from "convscope/dom.js";
import { classOptions, named, select } from "convscope/images/names.js";
import { createThumbnails } from "convscope/images/thumbnails.js";

const SPLITS = [{ value: "test", text: "test set" }, { value: "train", text: "training set" }];
const ORDERS = [
  { value: "index", text: "as in the data set" },
  { value: "confident", text: "most confident first" },
  { value: "unsure", text: "least confident first" },
];

export function mountGallery(section, { state, info }) {
  const { classes } = info.runs[0];
  const found = createThumbnails({ state, info });
  const split = select(SPLITS, show);
  const truth = select(classOptions(classes, { value: "", text: "all classes" }), show);
  const predicted = select(classOptions(classes, { value: "", text: "all classes" }), show);
  const order = select(ORDERS, show);
  const wrong = h("input", { type: "checkbox", onchange: show });
  let shown = null; // the run whose images are on the page

  const filters = h(
    "form",
    { class: "filters", "aria-label": "Which images", onsubmit: (event) => event.preventDefault() },
    named("Images", split),
    named("True class", truth),
    named("Predicted class", predicted),
    named("Order", order),
    h("label", {}, wrong, " only those taken for another class"),
  );
  const hint = h("p", { class: "soft" }, "Choose an image to see what the network computes for it.");
  replace(section, h("h2", {}, "Images"), hint, live ? filters : null, found.element);

  function show() {
    // Only the test images have been predicted.
    const tested = split.value === "test";
    for (const control of [predicted, order, wrong]) control.disabled = !tested;
    shown = state.get().run;
    found.show({
      run: shown,
      split: split.value,
      true: chosen(truth),
      predicted: tested ? chosen(predicted) : null,
      wrong: tested && wrong.checked ? 1 : null,
      order: tested ? order.value : "index",
    });
  }

  // Nothing is asked for before somebody comes to see it.
  const update = () => state.get().view === "images" && shown !== state.get().run && show();
  state.subscribe(update);
  update();
}

function chosen(select) {
  return select.value === "" ? null : Number(select.value);
}
