// How images, classes and controls are called, everywhere on the page.

import { h } from "convscope/dom.js";

const KINDS = { test: "test image", train: "training image" };

/** "test image 12"; the number is the one in the data set, counted from 0. */
export function imageName(id) {
  const [split, number] = id.split("/");
  return split === "upload" ? "your image" : `${KINDS[split]} ${number}`;
}

/** A <select> of options {value, text}. */
export function select(options, onchange) {
  return h("select", { onchange }, options.map(({ value, text }) => h("option", { value }, text)));
}

/** The options of a <select> of classes, after the option `first`. */
export function classOptions(classes, first) {
  return [first, ...classes.map((text, value) => ({ value, text }))];
}

/** A control after its name. */
export function named(name, control) {
  control.setAttribute("aria-label", name); // else the options of a <select> are read out as part of it
  return h("label", {}, h("span", {}, `${name} `), control);
}
