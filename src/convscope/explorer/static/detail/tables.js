// Tables of figures with bars in them.

import { h } from "convscope/dom.js";

/** A table with a line of `heads` over its rows, which are <tr>; it can be pushed sideways where it has no room. */
export function figures({ caption = null, heads, rows }) {
  return h("div", { class: "wide" },
    h("table", { class: "figures" },
      caption ? h("caption", {}, caption) : null,
      h("thead", {}, h("tr", {}, heads.map((text) => h(text ? "th" : "td", { scope: text ? "col" : null }, text)))),
      h("tbody", {}, rows)));
}

/** A bar as long as `share` (0 to 1) of its cell; `kind` is a class of detail.css. */
export function bar(share, kind) {
  const element = h("span", { class: `bar ${kind}` });
  element.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return element;
}
