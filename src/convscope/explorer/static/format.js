// How numbers are written, everywhere on the page.

/** Four significant digits, with a true minus sign: 0.1235, −12.35, 1.235e-7, 0. */
export function number(value) {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-3 || size >= 1e5 ? size.toExponential(3) : String(Number(size.toPrecision(4)));
  return (value < 0 ? "−" : "") + text;
}

/** A probability as per cent: 97.3%. */
export function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)}%`;
}

/** A whole number with separators: 435,754. */
export function whole(value) {
  return Number(value).toLocaleString("en");
}

/** A shape as people write it: 32 × 28 × 28. */
export function shape(sizes) {
  return sizes.join(" × ");
}
