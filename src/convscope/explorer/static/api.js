// What the server knows: as JSON, as tensors, as pictures. In a page that was exported to a file the answers lie in the
// page itself, under the same addresses.

const embedded = document.getElementById("answers");
const answers = embedded ? JSON.parse(embedded.textContent) : null;

/** Whether there is a server that can be sent images and asked about any of them. */
export const live = answers === null;

/** The address of a question, with its parameters in alphabetical order; those that are null are left out. */
export function address(name, parameters = {}) {
  const known = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  const query = new URLSearchParams(known.sort(([a], [b]) => (a < b ? -1 : 1))).toString();
  return `api/${name}${query && "?"}${query}`;
}

/** The answer to a question as an object; throws an Error with one sentence. */
export async function json(name, parameters) {
  return (await ask(address(name, parameters))).json();
}

/**
 * A tensor: {shape: [C, H, W], data: Float32Array}, or, of weights, {parts: {weight: {shape, data}, bias: …}}.
 */
export async function tensor(name, parameters) {
  const answer = await ask(address(name, parameters));
  const data = new Float32Array(await answer.arrayBuffer());
  const sizes = (text) => text.split(",").map(Number);
  if (answer.headers.has("X-Shape")) return { shape: sizes(answer.headers.get("X-Shape")), data };
  const parts = {};
  let start = 0;
  for (const text of answer.headers.get("X-Parts").split(";")) {
    const [key, shapeText] = text.split(":");
    const shape = sizes(shapeText);
    const count = shape.reduce((product, size) => product * size, 1);
    parts[key] = { shape, data: data.subarray(start, start + count) };
    start += count;
  }
  return { parts };
}

/** The address of a picture for an <img>. */
export function picture(name, parameters) {
  const place = address(name, parameters);
  if (live) return place;
  return answers[place] ? `data:${answers[place].type};base64,${answers[place].base64}` : "data:,";
}

/** Send the bytes of an image file; answers {id, warning}. */
export async function upload(blob) {
  const request = { method: "POST", body: blob, headers: { "X-Convscope": "1" } };
  return (await checked(await reach("api/upload", request))).json();
}

const pending = new Map();

/** The answer as a Response. One question is asked once, however many ask it at the same time. */
async function ask(place) {
  if (!live) return checked(fromPage(place));
  if (!pending.has(place)) {
    pending.set(place, reach(place).then(checked).finally(() => pending.delete(place)));
  }
  return (await pending.get(place)).clone();
}

function fromPage(place) {
  const answer = answers[place];
  if (!answer) {
    const error = "This is not in the exported page; `convscope explore` shows it.";
    return new Response(JSON.stringify({ error }), { status: 404 });
  }
  const body = answer.base64 === undefined ? answer.body : Uint8Array.from(atob(answer.base64), (c) => c.charCodeAt(0));
  return new Response(body, { headers: { "Content-Type": answer.type, ...answer.headers } });
}

async function reach(place, options) {
  try {
    return await fetch(place, options);
  } catch {
    throw new Error("The explorer's server does not answer: look at its terminal, and start it again.");
  }
}

async function checked(response) {
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const sentence = error ?? `the explorer's server answered ${response.status}; see its terminal.`;
  throw new Error(sentence[0].toUpperCase() + sentence.slice(1));
}
