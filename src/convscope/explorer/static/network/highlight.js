// Which rows belong together: those that the row under the pointer reads, and those that read it.

/**
 * Mark the neighbours of the row under the pointer or with the focus, and write into `line` what is under the pointer.
 * `graph()` answers {rows: Map of rows by name, readers: Map of names by name}, or null.
 */
export function highlight(body, graph, line) {
  let marked = null;

  function mark({ target }) {
    line.textContent = target.closest("[data-channel]")?.getAttribute("aria-label") ?? "";
    const name = target.closest("[data-row]")?.dataset.row ?? null;
    if (name === marked) return;
    marked = name;
    for (const card of body.querySelectorAll(".read, .reader")) card.classList.remove("read", "reader");
    const row = graph()?.rows.get(name);
    if (!row) return;
    for (const card of cardsOf(row.inputs)) card.classList.add("read");
    for (const card of cardsOf(graph().readers.get(name))) card.classList.add("reader");
  }

  /** The cards of rows, and of folds that hide them. */
  function cardsOf(names) {
    const cards = [...body.querySelectorAll("[data-row]")].filter(({ dataset }) => names.includes(dataset.row));
    const folds = [...body.querySelectorAll("[data-hidden-rows]")].filter(({ dataset }) =>
      dataset.hiddenRows.split("\n").some((name) => names.includes(name)));
    return [...cards, ...folds];
  }

  for (const event of ["pointerover", "focusin"]) body.addEventListener(event, mark);
  body.addEventListener("pointerleave", () => mark({ target: body }));
}
