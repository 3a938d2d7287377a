// A confusion matrix as a table of buttons: a cell's colour is its share of the row, and the arrow keys move about.

import { h } from "convscope/dom.js";
import { percent, whole } from "convscope/format.js";

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * The table of `matrix` (K x K counts, rows true, columns predicted); calls choose(true class, predicted class).
 */
export function createMatrix(matrix, classes, caption, choose) {
  const cells = matrix.map((row, label) => row.map((count, predicted) => cell(row, count, label, predicted)));

  function cell(row, count, label, predicted) {
    const share = count / (row.reduce((sum, value) => sum + value, 0) || 1);
    const verb = label === predicted ? "recognised" : `taken for ${classes[predicted]}`;
    const name = `${classes[label]} ${verb}: ${whole(count)} of the row, ${percent(share)}`;
    const button = h(
      "button",
      {
        type: "button", class: count ? null : "none", title: name, "aria-label": name,
        tabindex: label + predicted === 0 ? 0 : -1,
        onclick: () => open(button, label, predicted), onfocus: () => makeReachable(button),
      },
      whole(count),
    );
    // Errors are a few per cent of their row, which would be as good as white on a linear scale.
    button.style.setProperty("--share", Math.sqrt(share));
    return button;
  }

  function open(button, label, predicted) {
    for (const other of cells.flat()) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    choose(label, predicted);
  }

  /** The Tab key stops at one cell alone, the last one that was visited. */
  function makeReachable(button) {
    for (const other of cells.flat()) other.tabIndex = other === button ? 0 : -1;
  }

  function move(event) {
    const row = cells.findIndex((buttons) => buttons.includes(event.target));
    if (row < 0) return;
    const column = cells[row].indexOf(event.target);
    const [down, right] = MOVES[event.key] ?? [0, 0];
    const target = { Home: cells[row][0], End: cells[row].at(-1) }[event.key] ?? cells[row + down]?.[column + right];
    if (!target || target === event.target) return;
    event.preventDefault();
    target.focus();
  }

  const heading = (name) => h("th", { scope: "col", title: name }, h("span", {}, name));
  const name = (label) => h("th", { scope: "row", title: classes[label] }, classes[label]);
  const line = (buttons, label) => h("tr", {}, name(label), buttons.map((button) => h("td", {}, button)));
  return h(
    "table",
    { onkeydown: move },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "true ↓ predicted →"), classes.map(heading))),
    h("tbody", {}, cells.map(line)),
  );
}

/** The pairs that are confused most: [{label, predicted, count}], the most frequent first. */
export function confusedPairs(matrix, most) {
  const pairs = matrix.flatMap((row, label) => row.map((count, predicted) => ({ label, predicted, count })));
  const wrong = pairs.filter(({ label, predicted, count }) => label !== predicted && count > 0);
  return wrong.sort((a, b) => b.count - a.count).slice(0, most);
}
