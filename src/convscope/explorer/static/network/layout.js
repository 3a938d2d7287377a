// From the rows of a network to how they are drawn: one below the other, branches side by side, and modules folded.
//
// An item is {row, branches}: a row, and above it the branches that meet in it. Each branch is {items}; one without
// items is what goes straight through, such as the shortcut of a residual block. A fold is {name, items, rows}.

/**
 * Items for rows in the order in which an image meets them, each of which has a `name` and the names of its `inputs`.
 *
 * Branches lie between two rows that everything passes through: the first splits, in the second they meet. So they are
 * found by how far down each row is read: where no line from above goes further, everything passes.
 */
export function arrange(rows, start = "image", end = null) {
  const reach = new Map();
  rows.forEach((row, index) => row.inputs.forEach((name) => reach.set(name, index)));
  end?.inputs.forEach((name) => reach.set(name, rows.length));

  const items = [];
  let between = []; // rows since the last one that everything passes through
  let last = start;
  let furthest = reach.get(start) ?? 0;
  rows.forEach((row, index) => {
    if (furthest <= index) {
      items.push(...meet(between, last, row));
      between = [];
      last = row.name;
    } else {
      between.push(row);
    }
    furthest = Math.max(furthest, reach.get(row.name) ?? 0);
  });
  return [...items, ...between.map(alone)]; // nothing is left where all branches meet again
}

/** The item of `row`, in which all rows since `start` meet; one item each if they are no branches. */
function meet(between, start, row) {
  const branches = components(between).map((rows) => ({ rows, items: arrange(rows, start, row) }));
  if (between.length > 0 && row.inputs.includes(start)) branches.push({ rows: [{ name: start }], items: [] });
  if (branches.length < 2) return [...between, row].map(alone);
  // From left to right in the order in which they are read: that of the channels of a concatenation.
  const place = ({ rows }) => row.inputs.findIndex((name) => rows.some((other) => other.name === name));
  branches.sort((one, other) => place(one) - place(other));
  return [{ row, branches: branches.map(({ items }) => ({ items })) }];
}

function alone(row) {
  return { row, branches: [] };
}

/** Rows that hang together, each part in its order. */
function components(rows) {
  let parts = [];
  for (const row of rows) {
    const joined = parts.filter((part) => part.some(({ name }) => row.inputs.includes(name)));
    parts = [...parts.filter((part) => !joined.includes(part)), [...joined.flat(), row]];
  }
  return parts.map((part) => rows.filter((row) => part.includes(row)));
}

/** All rows of some items or folds, from top to bottom. */
export function rowsOf(items) {
  return items.flatMap((item) => item.items
    ? rowsOf(item.items)
    : [...item.branches.flatMap((branch) => rowsOf(branch.items)), item.row]);
}

const WHOLE_NETWORK = 0.5; // a module that holds more than this share of the rows is the network under another name
const FEW = 2; // rows that are not worth a fold

/** The same items, with those of one module in a fold {name, items, rows}, and its parts in folds again. */
export function fold(items, total = rowsOf(items).length, depth = 0) {
  const folded = [];
  for (const { module, part } of runsOf(items, depth)) {
    const rows = rowsOf(part).length;
    if (module === null || rows <= FEW) folded.push(...part);
    else if (rows > WHOLE_NETWORK * total) folded.push(...fold(part, total, depth + 1));
    else folded.push({ name: module, items: fold(part, total, depth + 1), rows });
  }
  return folded;
}

/** Items one after the other that lie in the same module at this depth of the names. */
function runsOf(items, depth) {
  const runs = [];
  for (const item of items) {
    const path = modulePath(item);
    const module = path.length > depth ? path.slice(0, depth + 1).join(".") : null;
    const run = runs.at(-1);
    if (run && run.module === module) run.part.push(item);
    else runs.push({ module, part: [item] });
  }
  return runs;
}

/** Parts of the name of the module that an item lies in: of all its branches, where it has some. */
function modulePath({ row, branches }) {
  const inner = branches.flatMap((branch) => rowsOf(branch.items));
  const paths = (inner.length > 0 ? inner : [row]).map(({ name }) => name.split(".").slice(0, -1));
  return paths.reduce((shared, path) => {
    const different = shared.findIndex((part, index) => part !== path[index]);
    return different < 0 ? shared : shared.slice(0, different);
  });
}

/** Of each row the names of those that read it. */
export function readersOf(rows) {
  const readers = new Map(rows.map(({ name }) => [name, []]));
  for (const { name, inputs } of rows) for (const input of inputs) readers.get(input)?.push(name);
  return readers;
}
