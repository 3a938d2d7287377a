// Elements are built by calls, never from strings of HTML: names of classes and runs come from files of strangers.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: h("button", {class: "tab", "aria-pressed": true, onclick: f, disabled: false}, "Network").
 * Attributes that are false, null or undefined are left out; those that begin with "on" are listeners.
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a part of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Put `children` in the place of all that `element` holds. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
}

/** Say one sentence in the line at the bottom of the page, which screen readers read out. */
export function notify(sentence) {
  const line = document.getElementById("notice");
  line.textContent = sentence;
  line.hidden = false;
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => (line.hidden = true), 8000);
}
