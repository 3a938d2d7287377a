// The top of the dialog: which layer, which channel, and the way to its neighbours.

import { h, replace } from "convscope/dom.js";
import { shape, whole } from "convscope/format.js";

/** {element, title(layer), show(subject)}; controls stay in place while the channel changes, and so does the focus. */
export function createHead({ close, choose }) {
  const title = h("h2", { id: "detail-title" });
  const facts = h("p", { class: "soft facts" });
  const stepper = h("div", { class: "stepper" });
  const neighbours = h("nav", { class: "neighbours", "aria-label": "Neighbouring layers" });
  const element = h("div", { class: "detail-head" },
    h("div", { class: "detail-title" }, title, h("button", { type: "button", onclick: close }, "Close")),
    facts, h("div", { class: "detail-ways" }, stepper, neighbours));
  let shown = null;
  let current = 0;
  let setChannel = null;

  return {
    element,
    title(layer) {
      title.textContent = layer;
      facts.textContent = "";
      shown = null;
      replace(stepper);
      replace(neighbours);
    },
    show(subject) {
      const { row, channel, network } = subject;
      if (shown !== row.name) {
        shown = row.name;
        facts.textContent = describeRow(row);
        setChannel = fillStepper(stepper, subject, choose);
        fillNeighbours(neighbours, row, network, subject, choose, () => current);
      }
      current = channel;
      setChannel(channel);
    },
  };
}

function describeRow({ kind, shape: sizes, parameters, receptive_field: field }) {
  const parts = [kind === "image" ? "what the network sees, normalised" : kind, `output ${shape(sizes)}`];
  if (parameters) parts.push(`${whole(parameters)} parameters`);
  if (field) parts.push(`each value sees ${shape(field.size)} pixels of the image`);
  return parts.join(" · ");
}

/** Choose a channel, or of the last layer a class; answers how to set it. */
function fillStepper(element, { row, network, classes, find }, choose) {
  const total = row.shape[0];
  const name = row.shape.length === 3 ? "Channel" : row.name === network.output ? "Class" : "Unit";
  let current = 0;
  const go = (channel) => choose({ channel: Math.min(Math.max(channel, 0), total - 1) });
  const onchange = () => go(Math.round(Number(field.value)) || 0);
  const field = name === "Class"
    ? h("select", { onchange }, classes.map((label, k) => h("option", { value: k }, label)))
    : h("input", { type: "number", min: 0, max: total - 1, onchange });
  const step = (by, sign, label) =>
    h("button", { type: "button", "aria-label": label, onclick: () => go(current + by) }, sign);
  const [back, on] = [step(-1, "‹", `Previous ${name.toLowerCase()}`), step(1, "›", `Next ${name.toLowerCase()}`)];
  replace(element, back, h("label", {}, `${name} `, field, h("span", { class: "soft" }, ` of ${whole(total)}`)), on);
  return (channel) => {
    current = channel;
    field.value = channel;
    back.disabled = channel === 0;
    on.disabled = channel === total - 1;
  };
}

/** The layers that it reads and that read it. The channel is kept where the later one looks at one channel alone. */
function fillNeighbours(element, row, network, { find }, choose, channelOf) {
  const way = (name, later) => {
    const other = find(name);
    const same = other.shape[0] === row.shape[0] && !["Conv2d", "Linear", "Flatten"].includes(later.kind);
    const go = () => choose({ layer: name, channel: same ? channelOf() : null });
    return h("button", { type: "button", onclick: go }, name);
  };
  const readers = network.layers.filter(({ inputs }) => inputs.includes(row.name));
  const ways = [
    ["reads", row.inputs.map((name) => way(name, row))],
    ["is read by", readers.map((reader) => way(reader.name, reader))],
  ];
  const some = ways.filter(([, buttons]) => buttons.length > 0);
  replace(element, some.map(([label, buttons]) => [h("span", { class: "soft" }, label), buttons]));
}
