// Formulas, as MathML, which browsers draw and screen readers read.

const MATHML = "http://www.w3.org/1998/Math/MathML";

/** A part of a formula: m("mi", "x"); m("mfrac", above, below). Text and numbers become children as they are. */
export function m(tag, ...children) {
  const element = document.createElementNS(MATHML, tag);
  element.append(...children.flat());
  return element;
}

/** A formula from parts; text is a name if it begins with a letter, a number or an operator else. */
export function formula(...parts) {
  const math = m("math", row(...parts));
  math.setAttribute("displaystyle", "true");
  return math;
}

/** Parts side by side. */
export function row(...parts) {
  return m("mrow", parts.map((part) => (typeof part === "string" ? atom(part) : part)));
}

/** `base` with something below and to its right. */
export function sub(base, index) {
  return m("msub", row(base), row(index));
}

/** A fraction. */
export function fraction(above, below) {
  return m("mfrac", row(above), row(below));
}

/** The sum over `index` of what follows. */
export function sum(index) {
  return m("munder", m("mo", "∑"), row(index));
}

function atom(text) {
  if (/^\p{L}{2,}/u.test(text)) return m("mtext", text);
  return m(/^\p{L}/u.test(text) ? "mi" : /^[−\d]/.test(text) ? "mn" : "mo", text);
}
