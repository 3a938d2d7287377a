// The arithmetic of one layer, in a dialog: how the values of a channel come about, for the image that is shown.

import * as api from "convscope/api.js";
import { channelTools } from "convscope/detail/channel.js";
import { showConvolution } from "convscope/detail/convolution.js";
import { createHead } from "convscope/detail/head.js";
import { showConcatenation, showProduct, showSum } from "convscope/detail/junction.js";
import { showFlatten, showLinear } from "convscope/detail/linear.js";
import { showBatchNorm, showResponseNorm } from "convscope/detail/norm.js";
import { showActivation, showImage, showOther, showUnchanged } from "convscope/detail/pointwise.js";
import { showPool } from "convscope/detail/pooling.js";
import { showSoftmax } from "convscope/detail/softmax.js";
import { activations } from "convscope/detail/tensors.js";
import { h, replace } from "convscope/dom.js";
import { source } from "convscope/state.js";

const IMAGE = "image";
const VIEWS = {
  [IMAGE]: showImage,
  Conv2d: showConvolution,
  ReLU: showActivation,
  LeakyReLU: showActivation,
  SiLU: showActivation,
  GELU: showActivation,
  Sigmoid: showActivation,
  Tanh: showActivation,
  MaxPool2d: showPool,
  AvgPool2d: showPool,
  AdaptiveAvgPool2d: showPool,
  BatchNorm2d: showBatchNorm,
  LocalResponseNorm: showResponseNorm,
  Dropout: showUnchanged,
  Identity: showUnchanged,
  Flatten: showFlatten,
  Linear: showLinear,
  sum: showSum,
  product: showProduct,
  concatenation: showConcatenation,
};
const WATCHED = ["layer", "channel", "side", "image", "run", "epoch", "other", "otherEpoch"];

export function mountDetail(dialog, { state, info }) {
  const close = () => state.set({ layer: null, channel: null });
  const choose = (changes) => state.set({ channel: null, ...changes });
  const head = createHead({ close, choose });
  const body = h("div", { class: "detail-body" });
  dialog.append(head.element, body);
  let leave = new AbortController();
  let place = [0, 0];

  dialog.addEventListener("close", () => state.get().layer !== null && close());
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && isOutside(dialog, event) && close());

  async function show(changed) {
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    const { layer, channel, side, image } = state.get();
    if (layer === null) {
      dialog.close();
      return;
    }
    if (changed.has("layer")) {
      place = null;
      head.title(layer);
    }
    if (!dialog.open) dialog.showModal();
    body.setAttribute("aria-busy", "true");
    const waiting = setTimeout(() => signal.aborted || replace(body, h("p", { class: "soft" }, "Computing …")), 300);
    try {
      const subject = await describe(layer, channel, { ...source(state, side), image });
      Object.assign(subject, { signal, choose, place, remember: (y, x) => (place = [y, x]) });
      subject.classes = info.runs.find(({ name }) => name === subject.source.run).classes;
      const parts = [await (VIEWS[subject.row.kind] ?? showOther)(subject)];
      if (layer === subject.network.output) parts.push(await showSoftmax(subject));
      else if (layer !== IMAGE && api.live) parts.push(channelTools(subject));
      if (signal.aborted) return;
      head.show(subject);
      replace(body, parts);
      if (changed.has("layer")) dialog.scrollTop = 0;
    } catch (error) {
      if (!signal.aborted) replace(body, h("p", { class: "failure", role: "alert" }, error.message));
    } finally {
      clearTimeout(waiting);
      if (!signal.aborted) body.removeAttribute("aria-busy");
    }
  }

  state.subscribe((_, changed) => WATCHED.some((key) => changed.has(key)) && show(changed));
  show(new Set(["layer"]));
}

/**
 * What a view begins with. `row` is the layer as /api/network describes it, `output` its tensor, `channel` the one
 * asked for or else the one with the largest value; `source` is {run, epoch, image}, `find(name)` another row.
 * `mountDetail` adds: `signal`, aborted when the view is left; `choose({layer, channel})` to go elsewhere; `place`
 * [y, x], the pixel last looked at or null; `remember(y, x)`; `classes`.
 */
async function describe(layer, channel, source) {
  const network = await api.json("network", { run: source.run });
  const image = { name: IMAGE, kind: IMAGE, inputs: [], shape: network.input_shape, parameters: 0, settings: {} };
  const find = (name) => (name === IMAGE ? image : network.layers.find((row) => row.name === name));
  const row = find(layer);
  if (!row) throw new Error(`The network of ${source.run} has no layer ${layer}: choose another one.`);
  const output = await activations(source, layer);
  const known = channel !== null && channel >= 0 && channel < row.shape[0];
  return { network, row, find, output, source, channel: known ? channel : strongest(output) };
}

/** The channel in which the largest value is. */
function strongest({ shape, data }) {
  let best = 0;
  for (let i = 1; i < data.length; i++) if (data[i] > data[best]) best = i;
  return Math.floor(best / (data.length / shape[0]));
}

function isOutside(element, { clientX, clientY }) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
