// A photograph from the camera, where the browser has one and the person allows it.

import { h, notify } from "convscope/dom.js";

/** A button that opens the camera, hidden where there is none, and the panel with it; photos go to give(blob). */
export function createCamera({ state }, give) {
  const video = h("video", { playsinline: true, "aria-label": "What the camera sees" });
  video.muted = true; // without sound a page may play it at once
  const shoot = h("button", { type: "button", disabled: true, onclick: () => give(photo()) }, "Take a picture");
  const panel = h("div", { class: "camera", hidden: true, onkeydown: (event) => event.key === "Escape" && close() },
    h("div", { class: "frame" }, video),
    h("div", { class: "buttons" }, shoot, h("button", { type: "button", onclick: close }, "Close")));
  const button = h("button", { type: "button", hidden: true, "aria-expanded": "false", onclick: toggle }, "Camera");
  let stream = null;

  async function toggle() {
    if (!panel.hidden) return close();
    panel.hidden = false;
    button.setAttribute("aria-expanded", "true");
    try {
      const given = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (panel.hidden) return stop(given); // closed while the browser was asking for leave
      stream = given;
      video.srcObject = stream;
      await video.play();
      shoot.disabled = false;
    } catch (error) {
      if (panel.hidden) return; // closed before the first picture came
      close();
      notify(`The camera cannot be used (${error.message || error.name}): allow it in the browser, or give a file.`);
    }
  }

  function close() {
    if (stream !== null) stop(stream);
    stream = null;
    video.srcObject = null;
    shoot.disabled = true;
    if (panel.contains(document.activeElement)) button.focus();
    panel.hidden = true;
    button.setAttribute("aria-expanded", "false");
  }

  /** The middle square of what the camera sees, as the panel shows it. */
  function photo() {
    const side = Math.min(video.videoWidth, video.videoHeight);
    const canvas = h("canvas", { width: side, height: side });
    const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
    canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, side, side);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  state.subscribe((values) => values.view !== "network" && !panel.hidden && close());
  // Undefined where the page did not come from this machine itself.
  navigator.mediaDevices?.enumerateDevices().then((devices) => {
    button.hidden = !devices.some(({ kind }) => kind === "videoinput");
  });
  return { button, panel };
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
