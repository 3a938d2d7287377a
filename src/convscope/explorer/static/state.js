// What the page shows, as one small object. It lives in the address too, so that a view can be linked to and the
// browser's Back goes back.
//
//   view    "network", "images", "confusion" or "playground"
//   run     name of the run, and epoch: "best" or the number of a snapshot
//   other   name of a second run beside it, or null; otherEpoch
//   image   "test/12", "train/7" or "upload/…"
//   method  of the attribution map that lies over the image, or null
//   layer   of the network whose arithmetic is open, or null; channel (a number or null); side: "main" or "other"
//   play    the playground's settings, as playground/rules.js writes them, or null

const KEYS = ["view", "run", "epoch", "other", "otherEpoch", "image", "method", "layer", "channel", "side", "play"];
const START = {
  view: "network", run: null, epoch: "best", other: null, otherEpoch: "best", image: "test/0",
  method: null, layer: null, channel: null, side: "main", play: null,
};

const PLACES = ["view", "run", "image", "layer"]; // keys to whose earlier values the browser's Back goes

/** A state that begins with what the address says, and with `defaults` for what it does not say. */
export function createState(defaults) {
  let values = { ...START, ...defaults, ...fromAddress() };
  const listeners = [];

  function apply(next) {
    const changed = new Set(KEYS.filter((key) => next[key] !== values[key]));
    if (changed.size === 0) return false;
    values = next;
    for (const listener of listeners) listener(values, changed);
    return true;
  }

  addEventListener("popstate", () => apply({ ...START, ...defaults, ...fromAddress() }));
  return {
    get: () => values,
    /**
     * Change some keys; all listeners hear of it at once, as listener(values, set of the keys that changed). With
     * `replace` the browser's Back does not come back to what was before.
     */
    set(changes, { replace = false } = {}) {
      const before = values;
      if (!apply({ ...values, ...changes })) return;
      // Moving a slider leaves no trail of its own.
      const moved = !replace && PLACES.some((key) => before[key] !== values[key]);
      history[moved ? "pushState" : "replaceState"](null, "", toAddress(values));
    },
    subscribe(listener) {
      listeners.push(listener);
    },
  };
}

/** The run and epoch of a side. */
export function source(state, side) {
  const { run, epoch, other, otherEpoch } = state.get();
  return side === "other" ? { run: other, epoch: otherEpoch } : { run, epoch };
}

function fromAddress() {
  const values = {};
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
    if (KEYS.includes(key)) values[key] = key === "channel" ? Number(value) : value;
  }
  return values;
}

function toAddress(values) {
  const written = KEYS.filter((key) => values[key] !== null && values[key] !== START[key]);
  return `#${new URLSearchParams(written.map((key) => [key, values[key]]))}`;
}
