"use strict";
// The networks of a figure, each with a name, among which its reader chooses: those that came with the figure, and
// those that a learner on the same page hands over.

// Base64 of little-endian float16 -> numbers.
function decodeHalves(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 2 }, (_, k) => {
    const bits = view.getUint16(2 * k, true);
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    return bits >> 15 ? -size : size;
  });
}

// Reward of whole episodes, by what makes an episode: left alone, without the traces, and those in which the
// reader did something else.
const emptyTally = () => ({ with: new Map(), without: new Map(), operated: new Map() });

const MOST_ARRIVED = 4; // networks that came later; one more takes the place of the oldest of them

class Networks {
  // told: [{ name, settings, parameters, halves, decoder }], parameters as base64 of float16 if `halves`, else of
  // float32; chosen: an index.
  constructor(told, chosen = 0) {
    this.all = told.map(({ name, settings, parameters, halves, decoder }) => {
      const decoded = Object.entries(parameters).map(([part, text]) => [part, halves ? decodeHalves(text) : decodeFloats(text)]);
      return { name, settings, decoder, parameters: Object.fromEntries(decoded), tally: emptyTally(), arrived: false };
    });
    this.index = chosen;
  }

  // The chosen one.
  get now() {
    return this.all[this.index];
  }

  // How many came with the figure; they stand first.
  get lasting() {
    return this.all.filter((each) => !each.arrived).length;
  }

  // Whether the chosen one has it, or any of them: "traces", "modulator" or "decoder".
  has(part) {
    return hasPart(this.now, part);
  }

  anyHas(part) {
    return this.all.some((each) => hasPart(each, part));
  }

  // One that has arrived; its index. A name stands for one network: the newer takes the place of the older.
  add({ name, settings, parameters }) {
    const entry = { name, settings, parameters, decoder: null, tally: emptyTally(), arrived: true };
    const arrived = this.all.filter((each) => each.arrived);
    const old = arrived.find((each) => each.name === name) ?? (arrived.length === MOST_ARRIVED ? arrived[0] : null);
    const chosen = this.now;
    this.all = [...this.all.filter((each) => each !== old), entry];
    this.index = Math.max(this.all.indexOf(chosen), 0);
    return this.all.length - 1;
  }
}

const partsOf = (entry) => ({ traces: hasPart(entry, "traces"), modulator: hasPart(entry, "modulator") });

function hasPart({ settings, decoder }, part) {
  if (part === "traces") return settings.plasticity !== "none";
  if (part === "modulator") return MODULATED.includes(settings.plasticity);
  return decoder !== null;
}

// What the chosen network has not, of what another of them has, in words; empty if it lacks nothing.
function lackWords(networks) {
  const words = { traces: "no traces", modulator: "no modulator", decoder: "no decoder that was fitted to it" };
  const lacking = Object.keys(words).filter((part) => networks.anyHas(part) && !networks.has(part)).map((part) => words[part]);
  if (!lacking.length) return "";
  const list = [lacking.slice(0, -1).join(", "), lacking.at(-1)].filter(Boolean).join(" and ");
  return `This network has ${list}: what needs ${lacking.length > 1 ? "them" : "it"} is switched off.`;
}

const SETTINGS = ["cell", "inputSize", "hiddenSize", "numActions", "plasticity", "rule", "clip", "clipping", "modulator", "fanout", "alphaShape"];
const SENSES = 17; // numbers that an agent of the maze senses
const MOST_NEURONS = 256;

function requireKeys(what, given, keys) {
  const plain = given !== null && typeof given === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(given));
  if (!plain) throw new Error(`${what} must be an object`);
  const [got, wanted] = [Object.keys(given), keys].map((names) => [...names].sort().join(", "));
  if (got !== wanted) throw new Error(`${what} must have ${wanted}, got ${got.slice(0, 200)}`);
}

// What another figure of the page has sent, as { name, settings, parameters }; an Error unless all of it is a network
// that can live in this maze. Nothing that arrives is trusted: it is checked part by part, and copied.
function readArrival(sent, maze) {
  requireKeys("what arrives", sent, ["name", "maze", "settings", "parameters"]);
  const { name } = sent;
  if (typeof name !== "string" || !/^[\w ,.()'-]{1,100}$/.test(name)) throw new Error("a name must be 1 to 100 letters, digits and simple signs");
  requireKeys("maze", sent.maze, Object.keys(maze));
  for (const [part, value] of Object.entries(maze)) {
    if (sent.maze[part] !== value) throw new Error(`${part} of the maze must be ${value}, got ${JSON.stringify(sent.maze[part])?.slice(0, 40)}`);
  }
  requireKeys("settings", sent.settings, SETTINGS);
  const settings = Object.fromEntries(SETTINGS.map((key) => [key, sent.settings[key]]));
  const { inputSize, hiddenSize, numActions, clip, fanout } = settings;
  requireKnown("inputSize", inputSize, [SENSES]);
  requireKnown("numActions", numActions, [NUM_ACTIONS]);
  if (!Number.isInteger(hiddenSize) || hiddenSize < 1 || hiddenSize > MOST_NEURONS) throw new Error(`hiddenSize must be 1 to ${MOST_NEURONS}`);
  if (typeof clip !== "number" || !(clip > 0)) throw new Error("clip must be a number above 0");
  requireKnown("fanout", fanout, [true, false]);
  for (const [key, known] of Object.entries(KNOWN)) requireKnown(key, settings[key], known);
  requireKeys("parameters", sent.parameters, Object.keys(parameterSizes(settings)));
  const parameters = Object.fromEntries(
    Object.entries(sent.parameters).map(([key, numbers]) => {
      if (!(numbers instanceof Float64Array) || !numbers.every(Number.isFinite)) throw new Error(`${key} must be finite numbers`);
      return [key, numbers.slice()];
    }),
  );
  new Network(settings, parameters); // refuses what does not fit together
  return { name, settings, parameters };
}
