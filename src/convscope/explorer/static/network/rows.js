// A network as elements: a card for each row, branches side by side, modules that fold.

import { h } from "convscope/dom.js";
import { shape, whole } from "convscope/format.js";
import { lanes, widthsOf } from "convscope/network/lanes.js";
import { rowsOf } from "convscope/network/layout.js";
import { describe } from "convscope/network/rowtext.js";
import { inWords } from "convscope/network/words.js";

/**
 * Elements for items and folds of layout.js. `drawing` knows what they share: `strip(row)` makes the pictures of a row,
 * `readers` are the names of those that read it, `go(name)` leads to another row, `modules` are the classes of the
 * modules, and `folds` collects {names, open(boolean)} of each fold. If `short`, all begin open, else the first ones.
 */
export function drawItems(items, drawing) {
  const first = items.find((item) => item.items);
  return items.map((item) => h("div", { class: "item" },
    item.items ? drawFold(item, drawing, drawing.short || item === first) : drawItem(item, drawing)));
}

function drawItem({ row, branches }, drawing) {
  if (branches.length === 0) return drawRow(row, drawing);
  const widths = widthsOf(branches);
  const columns = h("div", { class: "branches" },
    branches.map((branch, k) => drawBranch(branch, `Branch ${k + 1} of ${branches.length}`, drawing)));
  columns.style.setProperty("--columns", widths.map((width) => `${width}%`).join(" "));
  const [split, meet] = [lanes(widths, true), lanes(widths, false)];
  return [h("div", { class: branches.length > 2 ? "fork many" : "fork" }, split, columns, meet), drawRow(row, drawing)];
}

function drawBranch({ items }, title, drawing) {
  if (items.length === 0) {
    return h("div", { class: "branch direct", role: "group", "aria-label": `${title}: goes straight through` },
      h("p", { class: "branch-title soft", "aria-hidden": "true" }, title),
      h("span", { class: "soft" }, "unchanged"));
  }
  return h("div", { class: "branch", role: "group", "aria-label": title },
    h("p", { class: "branch-title soft", "aria-hidden": "true" }, title),
    drawItems(items, drawing));
}

let cards = 0; // so that each text has a name of its own on the page

function drawRow(row, drawing) {
  const { element: strip, tools } = drawing.strip(row);
  const text = h("div", { class: "row-text", id: `row-text-${++cards}`, hidden: true });
  const button = drawButton(row.name, inWords(row), text, toggle);

  function toggle() {
    if (!text.hasChildNodes()) text.append(describe(row, drawing));
    text.hidden = !text.hidden;
    button.setAttribute("aria-expanded", String(!text.hidden));
  }

  const head = drawHead(button, row.kind === "image" ? null : row.kind, row.shape, row.parameters, tools);
  return h("article", { class: "row", "data-row": row.name }, head, strip, text);
}

/** A module whose rows are drawn when it is opened first; closed it shows what comes out of it. */
function drawFold(fold, drawing, isOpen) {
  const rows = rowsOf(fold.items);
  const last = rows.at(-1);
  const parameters = rows.reduce((sum, row) => sum + row.parameters, 0);
  const inside = h("div", { class: "fold-rows", id: `fold-${++cards}`, hidden: true });
  const { element: strip, tools } = drawing.strip(last);
  const outcome = h("div", { class: "fold-outcome" }, strip);
  const button = drawButton(fold.name, count(fold.rows, "layer"), inside, () => open(inside.hidden));

  function open(shown) {
    if (shown && !inside.hasChildNodes()) inside.append(...drawItems(fold.items, drawing));
    inside.hidden = !shown;
    outcome.hidden = tools.hidden = shown;
    if (shown) delete element.dataset.hiddenRows;
    else element.dataset.hiddenRows = rows.map((row) => row.name).join("\n");
    button.setAttribute("aria-expanded", String(shown));
  }

  const head = drawHead(button, drawing.modules[fold.name], last.shape, parameters, tools);
  const element = h("div", { class: "fold", role: "group", "aria-label": fold.name }, head, outcome, inside);
  drawing.folds.push({ names: new Set(rows.map((row) => row.name)), open });
  open(isOpen);
  return element;
}

/** The name of a row or fold, which opens and closes `target`. */
function drawButton(name, words, target, onclick) {
  const state = { "aria-expanded": "false", "aria-controls": target.id };
  return h("button", { type: "button", class: "plain", ...state, onclick },
    drawName(name), " ", h("span", { class: "row-words" }, words));
}

function drawHead(button, kind, sizes, parameters, tools) {
  const facts = [kind, shape(sizes), parameters > 0 ? count(parameters, "parameter") : null].filter(Boolean);
  return h("div", { class: "row-head" },
    h("h3", {}, button), h("p", { class: "row-facts soft" }, facts.join(" · ")), tools);
}

/** A name of several parts, the last one strong; a line may end after each dot. */
function drawName(name) {
  const parts = name.split(".");
  return h("span", { class: "row-name code" },
    parts.slice(0, -1).map((part) => [`${part}.`, h("wbr")]), h("b", {}, parts.at(-1)));
}

function count(amount, noun) {
  return `${whole(amount)}\u00a0${noun}${amount === 1 ? "" : "s"}`;
}
