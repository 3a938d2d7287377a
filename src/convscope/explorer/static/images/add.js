// Images of one's own: from a file, dropped, pasted, drawn or photographed. They go to the explorer's own server alone.

import * as api from "convscope/api.js";
import { h, notify } from "convscope/dom.js";
import { createCamera } from "convscope/images/camera.js";
import { createPad } from "convscope/images/pad.js";
import { newest } from "convscope/latest.js";

/** An element with the buttons, and the panels of the tools; listens for what is dropped on the page or pasted. */
export function createAdding(context) {
  const { state, info } = context;
  const ask = newest();
  const warnings = new Map(); // what the server said of each image
  const file = h("input", { type: "file", accept: "image/*", hidden: true, onchange: choose });
  const warning = h("p", { class: "warning", role: "status" });
  const turn = () => give(negative(state.get().image));
  const exchange = h("button", { type: "button", hidden: true, onclick: turn }, "Exchange light and dark");
  const drop = h("div", { class: "drop", hidden: true }, "Drop the image to send it through the network");
  const tools = [
    // Strokes look like the training images only where these are grey.
    ...(info.runs[0].channels === 1 ? [createPad(context, give)] : []),
    createCamera(context, give),
  ];
  const buttons = h("div", { class: "buttons" },
    h("button", { type: "button", onclick: () => file.click() }, "File …"), tools.map(({ button }) => button));
  document.body.append(drop);

  /**
   * Send an image (a Blob, or a promise of one) and show it; when `follows`, in the place of the one shown, of which
   * it is a further state. What is given later, or looked at meanwhile, wins.
   */
  function give(content, follows = false) {
    const before = state.get().image;
    const sent = Promise.resolve(content).then(send);
    ask(sent, ({ id, warning: sentence }) => {
      warnings.set(id, sentence);
      if (state.get().image === before) state.set({ image: id, view: "network" }, { replace: follows });
      showWarning();
    }, (error) => notify(error.message));
    return sent;
  }

  function send(blob) {
    // The server would hang up in the middle of a longer one.
    if (blob.size > info.upload_limit) {
      const [size, limit] = [blob.size, info.upload_limit].map((bytes) => (bytes / 2 ** 20).toFixed(1));
      throw new Error(`The image has ${size} MiB, and the explorer takes ${limit} MiB: give a smaller copy of it.`);
    }
    return api.upload(blob);
  }

  function choose() {
    if (file.files.length) give(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  }

  function take(event, data) {
    const first = [...(data?.files ?? [])][0];
    if (!first) return;
    event.preventDefault();
    give(first);
  }

  function showWarning() {
    const { image } = state.get();
    const sentence = warnings.get(image);
    warning.textContent = sentence ?? "";
    // Colour photos are never negatives, unless the server says so.
    exchange.hidden = !image.startsWith("upload/") || (info.runs[0].channels > 1 && !sentence);
  }

  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.hidden = false;
  });
  addEventListener("dragleave", (event) => (drop.hidden ||= event.relatedTarget === null));
  addEventListener("drop", (event) => {
    drop.hidden = true;
    take(event, event.dataTransfer);
  });
  addEventListener("paste", (event) => take(event, event.clipboardData));
  state.subscribe((_, changed) => changed.has("image") && showWarning());

  const element = h("details", { class: "adding under", open: true },
    h("summary", {}, "An image of your own"), file, buttons,
    h("p", { class: "soft by-desk" }, "Or drop one on the page, or paste one."), warning, exchange);
  return { element, panels: tools.map(({ panel }) => panel) };
}

/** The same image with light and dark exchanged, as a PNG. */
async function negative(image) {
  const picture = new Image();
  picture.src = api.picture("picture", { image });
  await picture.decode();
  const canvas = h("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  context.globalCompositeOperation = "difference"; // |white − colour|
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
