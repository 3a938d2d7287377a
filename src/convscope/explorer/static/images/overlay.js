// Which part of the image speaks for a class: an attribution map over the picture.

import * as api from "convscope/api.js";
import { colour, decode } from "convscope/colour.js";
import { h, notify, replace } from "convscope/dom.js";
import { number } from "convscope/format.js";
import { classOptions, named, select } from "convscope/images/names.js";
import { newest } from "convscope/latest.js";
import { source } from "convscope/state.js";

const METHODS = [
  { value: "", text: "nothing", says: "" },
  { value: "grad-cam", text: "Grad-CAM", says: "Where channels that speak for the class are active." },
  { value: "grad-cam++", text: "Grad-CAM++", says: "Grad-CAM that does justice to several places at once." },
  { value: "guided", text: "guided backpropagation", says: "Pixels that raise the logit; much the same for every class." },
  { value: "guided-grad-cam", text: "guided Grad-CAM", says: "Guided backpropagation where Grad-CAM is high." },
  { value: "occlusion", text: "occlusion", says: "How far the probability falls when a square covers the place." },
];
// An exported page holds but one map of an image.
const OFFERED = api.live ? METHODS : METHODS.slice(0, 2);
const LAST = { value: "", text: "the last with maps" };
const SCALE = 64; // steps of the colours in the legend

/** The controls, and of each side a canvas for its picture and a legend. */
export function createOverlay({ state, info }) {
  const { classes } = info.runs[0];
  const method = select(OFFERED, () => state.set({ method: method.value || null }));
  const target = select(classOptions(classes, { value: "", text: "the predicted one" }), () => ask(true));
  const layer = select([LAST], () => ask(false));
  const layerField = named("Layer", layer);
  const opacity = h("input", { type: "range", min: 0, max: 100, value: 80, oninput: fade });
  const says = h("p", { class: "soft" });
  const settings = h("div", { class: "overlay-settings" },
    api.live ? [named("Class", target), layerField] : null, named("Opacity", opacity), says);
  const controls = h("div", { class: "overlay" }, named("Overlay", method), settings);
  const sides = { main: createSide("main"), other: createSide("other") };

  function fade() {
    for (const { canvas } of Object.values(sides)) canvas.style.opacity = opacity.value / 100;
  }

  function createSide(side) {
    const canvas = h("canvas", { class: "map", hidden: true, "aria-hidden": "true" });
    const scale = h("canvas", { class: "scale", "aria-hidden": "true" });
    const low = h("span");
    const high = h("span");
    const words = h("span");
    const legend = h("div", { class: "legend", role: "status", hidden: true });
    const question = newest();

    function show(anew) {
      const { run, epoch } = source(state, side);
      legend.hidden = state.get().method === null || run === null;
      // The map of another image would mislead; that of another epoch stays until the next one comes.
      canvas.hidden ||= anew || legend.hidden;
      const answer = legend.hidden ? Promise.resolve(null) : api.json("explain", {
        run, epoch, image: state.get().image, method: state.get().method, class: target.value || null,
        // Another network has other layers.
        layer: (weighsMaps() && run === state.get().run && layer.value) || null,
      });
      question(answer, (map) => map && fill(map), (error) => {
        canvas.hidden = true;
        replace(legend, error.message);
      });
    }

    function fill({ size: [height, width], map, range: [from, to], class: label, layer }) {
      lay(canvas, decode(map, from, to), height, width, from, to);
      const steps = Array.from({ length: SCALE }, (_, step) => from + (step / (SCALE - 1)) * (to - from));
      lay(scale, steps, 1, SCALE, from, to);
      low.textContent = number(from);
      high.textContent = number(to);
      words.textContent = `for ${classes[label]}${layer === null ? "" : `, at the layer ${layer}`}`;
      replace(legend, scale, low, high, words);
      canvas.hidden = false;
    }
    return { canvas, legend, show };
  }

  /** Whether the method looks at a layer's maps; others look at the pixels alone. */
  function weighsMaps() {
    return state.get().method?.includes("grad-cam");
  }

  /** Offer the layers of the network that have maps of more than one value. */
  async function offerLayers() {
    const { layers } = await api.json("network", { run: state.get().run });
    const placed = layers.filter(({ shape: [, height = 1, width = 1] }) => height * width > 1);
    replace(layer, [LAST, ...placed.map(({ name }) => ({ value: name, text: name }))].map(
      ({ value, text }) => h("option", { value }, text)));
  }

  function ask(anew) {
    const chosen = OFFERED.find(({ value }) => value === (state.get().method ?? ""));
    method.value = chosen?.value ?? "";
    says.textContent = chosen?.says ?? "";
    settings.hidden = state.get().method === null;
    layerField.hidden = !weighsMaps();
    for (const side of Object.values(sides)) side.show(anew);
  }

  state.subscribe((_, changed) => {
    const anew = changed.has("image") || changed.has("method");
    if (changed.has("run")) {
      layer.value = "";
      offerLayers().catch((error) => notify(error.message));
    }
    if (anew || ["run", "epoch", "other", "otherEpoch"].some((key) => changed.has(key))) ask(anew);
  });
  fade();
  ask(true);
  if (api.live) offerLayers().catch((error) => notify(error.message));
  return { controls, ...sides };
}

/** Draw a map of `height` times `width` values so that the picture shows through where they are small. */
function lay(canvas, values, height, width, low, high) {
  const reach = (low < 0 ? Math.max(-low, high) : high - low) || 1;
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const strength = (low < 0 ? Math.abs(values[i]) : values[i] - low) / reach;
    pixels.data.set([...colour(values[i], low, high), Math.round(255 * strength)], 4 * i);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
