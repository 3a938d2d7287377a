// The playground's settings as controls, and the formula of the output's size with their numbers in it.

import { outputSize } from "convscope/arithmetic.js";
import { h } from "convscope/dom.js";
import { LIMITS, paddingOf, square } from "convscope/playground/rules.js";

const OPERATIONS = { convolution: "Convolution", max: "Max pooling", average: "Average pooling" };

/** {element, show(setting)}; `change(changes)` is told of every change. */
export function createControls(change) {
  let setting = null;
  const operation = h("select", {
    onchange: () => {
      const changes = { operation: operation.value };
      // What PyTorch's pools do not have.
      if (operation.value !== "convolution" && setting.padding === "same") changes.padding = 0;
      if (operation.value === "average") changes.dilation = 1;
      change(changes);
    },
  }, Object.entries(OPERATIONS).map(([value, label]) => h("option", { value }, label)));
  const field = (key, toChanges) => {
    const [least, most] = LIMITS[key];
    const input = h("input", {
      type: "number", min: least, max: most,
      oninput: () => {
        const value = Number(input.value);
        if (input.value !== "" && Number.isInteger(value) && value >= least && value <= most) change(toChanges(value));
      },
      onblur: () => show(setting), // what was no such number gives way to the one in force
    });
    return input;
  };
  const fields = {
    size: field("size", (size) => ({ input: square(size, 0, setting.input) })),
    kernel: field("kernel", (size) => ({ kernel: square(size, 0, setting.kernel) })),
    stride: field("stride", (stride) => ({ stride })),
    padding: field("padding", (padding) => ({ padding })),
    dilation: field("dilation", (dilation) => ({ dilation })),
  };
  const same = h("input", { type: "checkbox", onchange: () => change({ padding: same.checked ? "same" : 0 }) });
  const labelled = (text, control) => h("label", {}, h("span", {}, text), control);
  const element = h("div", { class: "settings" },
    labelled("Layer", operation), labelled("Input size n", fields.size), labelled("Kernel size k", fields.kernel),
    labelled("Stride s", fields.stride), labelled("Padding p", fields.padding), labelled("Dilation d", fields.dilation),
    h("label", { class: "same" }, same, h("span", {}, "padding=\"same\"")));

  function set(input, value, disabled = false) {
    if (document.activeElement !== input) input.value = value;
    input.disabled = disabled;
  }
  function show(next) {
    setting = next;
    operation.value = setting.operation;
    set(fields.size, setting.input.length);
    set(fields.kernel, setting.kernel.length);
    set(fields.stride, setting.stride);
    set(fields.padding, Math.floor(paddingOf(setting)), setting.padding === "same");
    set(fields.dilation, setting.dilation, setting.operation === "average");
    same.checked = setting.padding === "same";
    same.disabled = setting.operation !== "convolution";
  }
  return { element, show };
}

/** ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1, in letters and in numbers. */
export function sizeFormula(setting, isPossible) {
  const { input, kernel, stride, dilation } = setting;
  const padding = paddingOf(setting);
  const numbers = `⌊(${input.length} + 2·${padding} − ${dilation}·(${kernel.length} − 1) − 1) / ${stride}⌋ + 1`;
  const size = outputSize(input.length, kernel.length, stride, padding, dilation);
  return [
    h("span", { class: "soft" }, "output size = ⌊(n + 2p − d·(k − 1) − 1) / s⌋ + 1 = "),
    h("span", {}, isPossible ? `${numbers} = ` : numbers),
    isPossible ? h("b", {}, size) : null,
  ].filter(Boolean);
}
