// What there is to say about a row: where it stands, its parameters, its work, what it sees.

import { h } from "convscope/dom.js";
import { whole } from "convscope/format.js";
import { fieldOf, settingsOf } from "convscope/network/words.js";

/** The text of a row's text; see rows.js for `drawing`. */
export function describe(row, drawing) {
  const readers = drawing.readers.get(row.name) ?? [];
  const lines = [
    row.inputs.length > 0 ? ["reads", links(row.inputs, drawing)] : null,
    ["is read by", readers.length > 0 ? links(readers, drawing) : "softmax, which makes probabilities of these logits"],
    ...settingsOf(row),
    row.parameters > 0 ? ["parameters", `${row.formula} = ${whole(row.parameters)}`] : null,
    row.multiply_adds > 0 ? ["multiply-adds", `${whole(row.multiply_adds)} for one image`] : null,
    ["receptive field", fieldOf(row)],
  ];
  const draw = ([name, value]) => h("div", {}, h("dt", { class: "soft" }, name), h("dd", {}, value));
  return h("dl", {}, lines.filter(Boolean).map(draw));
}

function links(names, drawing) {
  return names.map((name) =>
    h("button", { type: "button", class: "link code", onclick: () => drawing.go(name) }, name));
}
