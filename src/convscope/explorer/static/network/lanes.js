// The lines along which values flow where a network branches.

import { svg } from "convscope/dom.js";

const DIRECT = 8; // per cent of the width for a branch without layers

/** Widths of branches side by side, in per cent. */
export function widthsOf(branches) {
  const straight = branches.filter(({ items }) => items.length === 0).length;
  const rest = (100 - DIRECT * straight) / (branches.length - straight);
  return branches.map(({ items }) => (items.length === 0 ? DIRECT : rest));
}

/** Lines from one point in the middle to the middle of each branch, or, `down` being false, back together. */
export function lanes(widths, down) {
  let left = 0;
  const middles = widths.map((width) => (left += width) - width / 2);
  const [point, ends] = down ? ["0", "100%"] : ["100%", "0"];
  const line = (x1, y1, x2, y2) => svg("line", { x1, y1, x2, y2 });
  return svg("svg", { class: "lanes", "aria-hidden": "true" },
    line("50%", point, "50%", "50%"),
    line(`${Math.min(50, ...middles)}%`, "50%", `${Math.max(50, ...middles)}%`, "50%"),
    middles.map((x) => line(`${x}%`, "50%", `${x}%`, ends)));
}
