// Play, pause, step and speed: walking through places 0 … count − 1, over and over.

import { h } from "convscope/dom.js";

/** {element, pause()}; `place()` tells where one is, `move(next)` goes there. It ends when `signal` is aborted. */
export function createPlayer({ count, place, move, signal }) {
  let timer = null;
  const step = () => move((place() + 1) % count);
  const toggle = () => (timer === null ? start() : pause());
  const play = h("button", { type: "button", class: "play", onclick: toggle }, "Play");
  const speed = h("input", { type: "range", min: 1, max: 30, value: 6, oninput: () => timer !== null && start() });
  const element = h("div", { class: "player" },
    play,
    h("button", { type: "button", onclick: () => { pause(); step(); } }, "Step"),
    h("label", {}, "Speed ", speed),
  );

  function start() {
    clearInterval(timer);
    timer = setInterval(step, 1000 / Number(speed.value));
    play.textContent = "Pause";
  }
  function pause() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  signal.addEventListener("abort", pause);
  return { element, pause, playing: () => timer !== null };
}
