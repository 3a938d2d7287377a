// What a channel is good for: the image patches that excite it most, and the answer without it.

import * as api from "convscope/api.js";
import { bar, figures } from "convscope/detail/tables.js";
import { h, replace } from "convscope/dom.js";
import { number, percent } from "convscope/format.js";

const SHOWN = 5; // classes
const WAIT = 700; // milliseconds from question to question while patches are searched
const SIDE = 84; // CSS pixels of a patch
const AROUND = 14; // pixels of the network's input that are shown at least

export function channelTools(subject) {
  const word = subject.row.shape.length === 3 ? "channel" : "unit";
  const answer = h("div", { class: "without", "aria-live": "polite" });
  const found = h("div", { class: "patches", "aria-live": "polite" });
  const button = (label, action, place) => h("button", {
    type: "button",
    onclick: async (event) => {
      event.target.disabled = true;
      try {
        await action(subject, place);
      } catch (error) {
        replace(place, h("p", { class: "failure" }, error.message));
      }
      event.target.disabled = false;
    },
  }, label);
  return h("section", { class: "tools" },
    h("div", {}, h("h3", {}, `Without this ${word}`),
      button(`Switch the ${word} off`, switchOff, answer), answer),
    h("div", {}, h("h3", {}, `What this ${word} looks for`),
      button("Find what excites it most", findPatches, found), found));
}

/** The probabilities with the channel and without it, for the classes that are likely in either case. */
async function switchOff({ source, row, channel, classes }, place) {
  const [{ probabilities: before }, { probabilities: after }] = await Promise.all([
    api.json("overview", source),
    api.json("without", { ...source, layer: row.name, channel }),
  ]);
  const either = before.map((share, k) => Math.max(share, after[k]));
  const likely = [...classes.keys()].sort((one, other) => either[other] - either[one]);
  const best = (shares) => shares.indexOf(Math.max(...shares));
  const [was, is] = [best(before), best(after)];
  const one = (k) => h("tr", {},
    h("th", { scope: "row" }, classes[k]),
    h("td", {}, percent(before[k], 2)), h("td", {}, percent(after[k], 2)),
    h("td", { class: "bar-cell" }, bar(before[k], "plain"), bar(after[k], "changed")));
  replace(place,
    h("p", {}, was === is
      ? `The answer stays ${classes[was]}: ${percent(before[was], 2)} with it, ${percent(after[was], 2)} without.`
      : `The answer changes from ${classes[was]} to ${classes[is]}.`),
    figures({ heads: ["class", "with", "without", ""], rows: likely.slice(0, SHOWN).map(one) }));
}

/** The patches of test images in which the channel is largest; asks again until the server has searched. */
async function findPatches(subject, place) {
  const { source: { run, epoch }, row, channel, signal } = subject;
  while (!signal.aborted) {
    const { state, progress, patches } = await api.json("patches", { run, epoch, layer: row.name, channel });
    if (state === "ready") {
      replace(place, patches.length > 0
        ? h("ul", {}, await Promise.all(patches.map((patch) => crop(patch, subject))))
        : h("p", {}, "No image excites it."));
      return;
    }
    const share = h("progress", { value: progress, "aria-label": "Progress" });
    replace(place, h("p", {}, "Searching the test images … ", share));
    await new Promise((resolve) => setTimeout(resolve, WAIT));
  }
}

/**
 * The part `box` [x0, y0, x1, y1] of an image, in pixels of the network's input, of which `size` make a side. A small
 * box is framed, with some of the image around it.
 */
async function crop({ id, box: [x0, y0, x1, y1], value, size }, { source: { run }, channel, choose }) {
  const picture = new Image();
  picture.src = api.picture("picture", { image: id, run });
  await picture.decode();
  const side = Math.min(size, Math.max(x1 - x0, y1 - y0, AROUND));
  const start = (from, to) => Math.min(Math.max(Math.round((from + to - side) / 2), 0), size - side);
  const [left, top] = [start(x0, x1), start(y0, y1)];
  const [across, down] = [picture.naturalWidth / size, picture.naturalHeight / size];
  const canvas = h("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": `Part of ${id}` });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, left * across, top * down, side * across, side * down, 0, 0, SIDE, SIDE);
  if (Math.max(x1 - x0, y1 - y0) < side) {
    const scale = SIDE / side;
    pen.strokeStyle = "#f0e442";
    pen.lineWidth = 2;
    pen.strokeRect((x0 - left) * scale, (y0 - top) * scale, (x1 - x0) * scale, (y1 - y0) * scale);
  }
  const see = () => choose({ image: id, channel });
  return h("li", {}, h("button", { type: "button", title: `See ${id}`, onclick: see },
    canvas, h("span", {}, id), " ", h("span", { class: "soft" }, number(value))));
}
