// The page: asks what there is, and gives each part its place. The parts know the state and not one another.

import * as api from "convscope/api.js";
import { mountDetail } from "convscope/detail/detail.js";
import { h, replace } from "convscope/dom.js";
import { mountConfusion } from "convscope/images/confusion.js";
import { mountGallery } from "convscope/images/gallery.js";
import { mountImage } from "convscope/images/image.js";
import { mountControls } from "convscope/network/controls.js";
import { mountGuide } from "convscope/network/guide.js";
import { mountNetwork } from "convscope/network/network.js";
import { mountOutput } from "convscope/network/output.js";
import { mountPlayground } from "convscope/playground/playground.js";
import { createState } from "convscope/state.js";

const VIEWS = { network: "Network", images: "Images", confusion: "Confusions", playground: "Playground" };

async function start() {
  const find = (selector) => document.querySelector(selector);
  const info = await api.json("runs");
  const state = createState({ run: info.runs[0].name, image: info.image });
  const names = info.runs.map((run) => run.name);
  const { run, other } = state.get();  // of an address that may be of another day
  if (!names.includes(run)) state.set({ run: names[0], epoch: "best" }, { replace: true });
  if (!names.includes(other)) state.set({ other: null }, { replace: true });
  const context = { state, info };

  mountViews(find("#views"), state);
  mountControls(find("#controls"), context);
  mountImage(find("#image"), context);
  mountGuide(find("#guide"), context);
  for (const side of ["main", "other"]) {
    mountOutput(find(`#${side}-side .output`), context, side);
    mountNetwork(find(`#${side}-side .network`), context, side);
  }
  mountDetail(find("#detail"), context);
  mountGallery(find("#images-view"), context);
  mountConfusion(find("#confusion-view"), context);
  mountPlayground(find("#playground-view"), context);
  find("#beginning").hidden = true;
}

/** Links to the views, of which one is shown. */
function mountViews(element, state) {
  function show() {
    const { view, other } = state.get();
    const link = ([key, label]) =>
      h("button", {
        type: "button", "aria-current": key === view ? "page" : null, onclick: () => state.set({ view: key }),
      }, label);
    replace(element, Object.entries(VIEWS).map(link));
    for (const key of Object.keys(VIEWS)) document.getElementById(`${key}-view`).hidden = key !== view;
    document.getElementById("other-side").hidden = other === null;
  }
  state.subscribe((_, changed) => (changed.has("view") || changed.has("other")) && show());
  show();
}

start().catch((error) => {
  document.getElementById("beginning").textContent = error.message;
});
