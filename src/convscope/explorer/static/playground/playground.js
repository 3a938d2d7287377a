// A playground for the arithmetic of convolutions and pools, on grids small enough to follow by eye.

import { h, replace } from "convscope/dom.js";
import { number } from "convscope/format.js";
import { createPlayer } from "convscope/player.js";
import { createControls, sizeFormula } from "convscope/playground/controls.js";
import { EXAMPLES, compute, fromText, layerOf, paddingOf, python, toText, whyNot } from "convscope/playground/rules.js";
import { inputTable, kernelTable, outputTable } from "convscope/playground/tables.js";

export function mountPlayground(element, { state }) {
  let setting = fromText(state.get().play) ?? EXAMPLES.Convolution;
  let leave = new AbortController();
  const controls = createControls(change);
  const formula = h("p", { class: "size-formula", "aria-live": "polite" });
  const stage = h("div", { class: "stage" });
  const code = h("code");

  /** Take over some settings, and write them into the address. */
  function change(changes) {
    setting = { ...setting, ...changes };
    state.set({ play: toText(setting) });
    draw();
  }

  /** Everything but the controls, which keep the focus. */
  function draw() {
    leave.abort();
    leave = new AbortController();
    controls.show(setting);
    replace(code, python(setting));
    const reason = whyNot(setting);
    replace(formula, sizeFormula(setting, reason === null));
    replace(stage, reason ? h("p", { class: "failure", role: "alert" }, reason) : drawStage());
  }

  function drawStage() {
    const layer = layerOf(setting);
    let place = 0;
    const told = h("p", { class: "told", role: "status" });
    const input = inputTable(setting, layer, paddingOf(setting), (values) => edit({ input: values }));
    const isConvolution = setting.operation === "convolution";
    const kernel = isConvolution ? kernelTable(setting.kernel, (values) => edit({ kernel: values })) : null;
    const output = outputTable(layer.size, (next) => { player.pause(); show(next); });
    const player = createPlayer({ count: layer.size ** 2, signal: leave.signal, place: () => place, move: show });

    /** Other numbers in the same grids: nothing is built anew, so that one can go on typing. */
    function edit(changes) {
      setting = { ...setting, ...changes };
      layer.map.data = setting.input.flat();
      state.set({ play: toText(setting) });
      fill();
    }
    function fill() {
      output.fill((y, x) => compute(setting, layer, y, x).result);
      show(place);
    }
    function show(next) {
      place = next;
      const [y, x] = [Math.floor(place / layer.size), place % layer.size];
      const { values, result, terms } = compute(setting, layer, y, x);
      input.mark(layer.windowAt(y, x), setting.operation === "max" ? values.indexOf(result) : null);
      output.mark(place);
      told.setAttribute("aria-live", player.playing() ? "off" : "polite");
      replace(told, `Row ${y}, column ${x}: `, h("span", { class: "terms" }, terms), " = ", h("b", {}, number(result)));
    }
    fill();
    return [
      h("div", { class: "tables" },
        input.element,
        kernel ? [h("span", { class: "sign", "aria-hidden": "true" }, "∗"), kernel.element] : null,
        h("span", { class: "sign", "aria-hidden": "true" }, kernel ? "=" : "→"), output.element),
      player.element, told,
    ];
  }

  replace(element,
    h("h2", {}, "Playground"),
    h("p", { class: "explain" },
      "Change any number and see what comes out. This is what PyTorch computes: the kernel lies on the input as it is ",
      "written. Mathematicians call that a cross-correlation; their convolution turns the kernel round by 180° first."),
    h("div", { class: "examples", role: "group", "aria-label": "Examples" }, h("span", { class: "soft" }, "Examples"),
      Object.entries(EXAMPLES).map(([name, example]) =>
        h("button", { type: "button", onclick: () => change(example) }, name))),
    controls.element, formula, stage,
    h("p", { class: "soft" }, "In PyTorch: ", code));
  state.subscribe((values, changed) => {
    if (!changed.has("play") || values.play === toText(setting)) return;
    setting = fromText(values.play) ?? EXAMPLES.Convolution;
    draw();
  });
  draw();
}
