"use strict";
// The reader draws on a sheet of pixels; Hebb's rule stores it, and the matrix completes what is rubbed out.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const SIDE = data.side;
const SIZE = SIDE ** 2;
const NAMES = { "-1": "paper", 0: "unknown", 1: "ink" };
const MOST_OVERLAPS = 6; // that are listed
const PATTERNS = Object.values(data.patterns).flat(); // [name, pattern]
const SVG = "http://www.w3.org/2000/svg";
const blank = () => new Array(SIZE).fill(-1);
// What the reader has chosen; sliders are places in their lists.
let cue, wanted; // wanted: what the cue is a part of, { name, pattern }, or null
let own = []; // stored by hand, after those stored beforehand
let readings = 0;
let memory, stored;

const chosen = (id) => sliderValue(id, data.settings[id]);

// "your drawing", unless it is one that the figure knows.
function nameOf(pattern) {
  const known = [...PATTERNS, ...own.map(({ name, pattern: each }) => [name, each])].find(([, each]) => equalPatterns(each, pattern));
  return known ? known[0] : pattern.includes(0) ? "a part of a picture" : `drawing ${own.filter(({ name }) => name.startsWith("drawing")).length + 1}`;
}

// The memory of all that is stored, in its order, by the rule and the numbers that are chosen now.
function build() {
  const { rule, bounded } = data.rules[element("rule").value];
  const eta = data.rates[Number(element("eta").value)];
  memory = new Memory({ size: SIZE, rule, eta, clip: bounded ? Number(chosen("bound")) : data.unbounded });
  const first = data.patterns[element("kind").value].slice(0, Number(chosen("letters")));
  stored = [...first.map(([name, pattern]) => ({ name, pattern })), ...own];
  stored.forEach(({ pattern }) => memory.store(pattern));
  return eta;
}

function take(pattern, name) {
  cue = [...pattern];
  if (!cue.includes(0)) wanted = { name: name ?? nameOf(cue), pattern: [...cue] };
  else if (wanted && cue.some((value, k) => value !== 0 && value !== wanted.pattern[k])) wanted = null;
  readings = Math.min(readings, 1);
}

function pixelColor(value) {
  return `rgb(${mapColor(SIGNED_MAP, (value + 1) / 2).join(", ")})`;
}

function say(words) {
  element("message").textContent = words;
}

const places = (number) => fixed(number, 2);

function drawAnswer(answer) {
  const canvas = element("answer");
  drawTrace(canvas, SIDE, answer, SIDE, 1);
  canvas.style.width = "100%";
  const count = (value) => answer.filter((each) => each === value).length;
  const rows = Array.from({ length: SIDE }, (_, row) => answer.slice(SIDE * row, SIDE * (row + 1)).map((value) => ({ "-1": ".", 0: "?", 1: "#" })[value]).join(""));
  canvas.setAttribute(
    "aria-label",
    readings === 0 ? "What comes back: nothing was recalled yet." : `What comes back: ${count(1)} pixels of ink, ${count(-1)} of paper, ${count(0)} unknown. ${rows.join(" ")}`,
  );
}

function makeWires() {
  const x = (k) => 30 + (k * 360) / (SIDE - 1);
  const make = (kind, attributes) => {
    const made = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    element("wires").append(made);
    return made;
  };
  for (let i = 0; i < SIDE; i++) {
    for (let j = 0; j < SIDE; j++) make("line", { class: "wire", x1: x(i), y1: 42, x2: x(j), y2: 138 });
  }
  for (const [kind, y] of [["pre", 30], ["post", 150]]) {
    for (let k = 0; k < SIDE; k++) make("circle", { class: `cell ${kind}`, cx: x(k), cy: y, r: 12 });
  }
  for (let k = 0; k < SIDE; k++) make("text", { class: "sum", x: x(k), y: 182, "text-anchor": "middle" });
  make("text", { x: 210, y: 11, "text-anchor": "middle", id: "pre-name" });
}

// Wires from one row of the sheet to another; so thick as the synapse is strong, against the strongest of all.
function drawWires(sums, answer, limit) {
  const [from, to] = [Number(element("from").value), Number(element("to").value)];
  const figure = element("wires");
  const into = element("into").value;
  let strongest = { value: 0 };
  figure.querySelectorAll(".wire").forEach((wire, k) => {
    const [i, j] = [Math.floor(k / SIDE), k % SIDE];
    const value = memory.hebb[SIZE * (SIDE * from + i) + SIDE * to + j];
    wire.style.strokeWidth = `${((7 * Math.abs(value)) / limit).toFixed(3)}px`;
    wire.classList.toggle("negative", value < 0);
    wire.classList.toggle("aside", into !== "" && j !== Number(into));
    if (Math.abs(value) > Math.abs(strongest.value)) strongest = { value, i, j };
  });
  figure.querySelectorAll(".pre").forEach((cell, k) => { cell.style.fill = pixelColor(cue[SIDE * from + k]); });
  figure.querySelectorAll(".post").forEach((cell, k) => { cell.style.fill = pixelColor(answer[SIDE * to + k]); });
  figure.querySelectorAll(".sum").forEach((label, k) => { label.textContent = places(sums[SIDE * to + k]); });
  element("pre-name").textContent = `pre-synaptic: row ${from + 1} of the sheet; post-synaptic: row ${to + 1}`;
  const words = strongest.value === 0 ? "all are 0" : `the strongest, from column ${strongest.i + 1} to column ${strongest.j + 1}, is ${fixed(strongest.value, 3)}`;
  figure.setAttribute("aria-label", `Wires from the ${SIDE} pixels of row ${from + 1} to the ${SIDE} of row ${to + 1}: ${words}.`);
  const block = element("block").style;
  [block.left, block.top] = [`${(100 * to) / SIDE}%`, `${(100 * from) / SIDE}%`];
}

function rightWords({ unknown, right, undecided }) {
  const ties = undecided ? `, ${undecided} undecided` : "";
  return `${right} of ${unknown}${ties}`;
}

function overlapWords(answer) {
  const all = new Map(stored.map(({ name, pattern }) => [name, overlap(answer, pattern)]));
  const sorted = [...all].sort(([, a], [, b]) => b - a);
  const listed = sorted.slice(0, MOST_OVERLAPS).map(([name, value]) => `${name} ${places(value)}`);
  return listed.join(", ") + (sorted.length > MOST_OVERLAPS ? `, and ${sorted.length - MOST_OVERLAPS} with less` : "");
}

function draw() {
  const eta = build();
  const answer = readings === 0 ? cue.map(() => 0) : memory.recall(cue, readings);
  const sums = memory.arriving(readings > 1 ? memory.recall(cue, readings - 1) : cue);
  const largest = memory.hebb.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const limit = Math.max(4 * eta, largest); // so that the first wires are thin, and thicken
  grid.draw();
  drawAnswer(answer);
  drawTrace(element("matrix"), SIZE, memory.hebb, SIZE, limit);
  element("matrix").style.width = "100%";
  element("matrix").setAttribute("aria-label", `The matrix Hebb as an image of ${SIZE} by ${SIZE} cells; largest entry ${fixed(largest, 3)}.`);
  drawWires(sums, answer, limit);
  const names = stored.map(({ name }) => name);
  element("stored").textContent = names.length ? `${names.length}: ${names.join(", ")}` : "nothing";
  element("largest").textContent = fixed(largest, 3);
  const unknown = cue.filter((value) => value === 0).length;
  element("known").textContent = `${SIZE - unknown} of ${SIZE}`;
  const counts = wanted && countRight(cue, answer, wanted.pattern);
  const none = readings === 0 ? "not recalled yet" : unknown === 0 ? "none is unknown" : "this cue is part of no whole picture";
  const counted = readings > 0 && unknown > 0 && wanted;
  element("right").textContent = counted ? `${rightWords(counts)}, of ${wanted.name}` : none;
  element("overlaps").textContent = readings === 0 ? "not recalled yet" : stored.length ? overlapWords(answer) : "nothing is stored";
  element("recall").textContent = readings === 0 ? "Recall" : "Read again";
  element("recall").disabled = readings >= data.settings.recall.length - 1;
  element("half").disabled = cue.slice(SIZE / 2).every((value) => value === 0);
  for (const id of ["letters", "eta", "bound"]) tellSlider(id, data.settings[id]);
  element("letters-name").textContent = `${element("kind").selectedOptions[0].textContent} stored`;
  element("bound-row").hidden = !data.rules[element("rule").value].bounded;
  const fullOja = element("rule").value === "oja" && !stored.some(({ pattern }) => pattern.includes(0));
  element("remark").textContent = fullOja ? "Every pixel that was stored is +1 or −1, so x_j² = 1 and Oja's rule is decay. Store a sheet with unknown pixels, and the two part." : "";
  return { counts, unknown, counted };
}

function tellRecall({ counts, unknown, counted }) {
  const times = readings === 1 ? "One reading" : `${readings} readings`;
  if (!stored.length) say("The memory is empty: nothing arrives. Store something first.");
  else if (unknown === 0) say("The cue knows every pixel. Rub something out, and see whether it comes back.");
  else if (!counted) say(`${times}. Overlap of what comes back: ${overlapWords(memory.recall(cue, readings))}.`);
  else say(`${times}: ${rightWords(counts)} unknown pixels are right. Overlap with ${wanted.name}: ${places(overlap(memory.recall(cue, readings), wanted.pattern))}.`);
}

// What changed is told as soon as something was recalled.
function update(words) {
  const seen = draw();
  if (readings > 0 && stored.length) tellRecall(seen);
  else say(words);
}

function paint(place, value) {
  const next = [...cue];
  next[place] = value;
  take(next);
  update(`${SIZE - cue.filter((each) => each === 0).length} of ${SIZE} pixels are known.`);
}

function makeButtons() {
  const box = element("buttons");
  box.replaceChildren();
  const all = data.patterns[element("kind").value];
  for (const [name, pattern] of all.slice(0, data.buttons)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => put(name, pattern));
    box.append(button);
  }
  const others = document.createElement("select");
  others.setAttribute("aria-label", "another one");
  others.add(new Option("another", ""));
  all.slice(data.buttons).forEach(([name]) => others.add(new Option(name)));
  others.addEventListener("change", () => {
    const found = all.find(([name]) => name === others.value);
    if (found) put(...found);
    others.value = "";
  });
  box.append(others);
}

function put(name, pattern) {
  take(pattern, name);
  update(`${name} is on the sheet.`);
}

function rubHalf() {
  take(cue.map((value, k) => (k < SIZE / 2 ? value : 0)));
  update("The lower half is unknown now.");
}

function store() {
  if (cue.every((value) => value === 0)) {
    say("The sheet is unknown everywhere: there is nothing to store.");
    return;
  }
  own.push({ name: nameOf(cue), pattern: [...cue] });
  draw();
  say(`Stored ${own.at(-1).name}. The memory holds ${stored.length} pattern${stored.length > 1 ? "s" : ""}.`);
}

// All at once: nothing is done if a part of it is refused.
function follow(text) {
  let asked;
  try {
    asked = readSettings(text, data.settings);
  } catch (error) {
    say(`This link was not followed: ${error.message}.`);
    return;
  }
  for (const id of ["kind", "rule"]) if (id in asked) element(id).value = asked[id];
  for (const id of ["letters", "eta", "bound"]) if (id in asked) element(id).value = data.settings[id].indexOf(asked[id]);
  if ("letters" in asked) own = [];
  makeButtons();
  if ("put" in asked) {
    const [name, pattern] = PATTERNS.find(([each]) => each === asked.put);
    take(pattern, name);
  }
  if (asked.cue === "whole" && wanted) take(wanted.pattern, wanted.name);
  if (asked.cue === "half") take(cue.map((value, k) => (k < SIZE / 2 ? value : 0)));
  if ("recall" in asked) readings = Number(asked.recall);
  update("Set as the link says.");
}

const grid = new PixelGrid(element("sheet"), SIDE, {
  pen: (place) => (document.querySelector('input[name="pen"]:checked').value === "rub" ? 0 : cue[place] === 1 ? -1 : 1),
  erased: 0,
  paint,
  look: (place) => [pixelColor(cue[place]), NAMES[cue[place]]],
});
makeWires();
for (const [name, { label }] of Object.entries(data.rules)) element("rule").add(new Option(label, name));
for (const [id, start] of [["from", 1], ["to", 6], ["into", ""]]) {
  for (let place = 0; place < SIDE; place++) element(id).add(new Option(place + 1, place));
  element(id).value = start;
  element(id).addEventListener("change", draw);
}
for (const [id, start] of Object.entries(data.start.sliders)) {
  listSlider(id, data.settings[id], start, () => update("The memory was built anew."));
}
element("rule").addEventListener("change", () => update("The memory was built anew by this rule."));
element("kind").addEventListener("change", () => {
  makeButtons();
  own = [];
  const [name, pattern] = data.patterns[element("kind").value][0];
  put(name, pattern);
});
element("half").addEventListener("click", rubHalf);
element("blank").addEventListener("click", () => {
  take(blank(), "an empty sheet");
  update("The sheet is all paper: draw.");
});
element("store").addEventListener("click", store);
element("recall").addEventListener("click", () => {
  readings += 1;
  tellRecall(draw());
});
element("forget").addEventListener("click", () => {
  own = [];
  readings = 0;
  element("letters").value = 0;
  draw();
  say("The matrix is 0 everywhere.");
});
addEventListener("settings", ({ detail }) => follow(detail));
makeButtons();
const [startName, startPattern] = PATTERNS.find(([name]) => name === data.start.letter);
put(startName, startPattern);
say(`${startName} is on the sheet. Store it, rub out half of it, and recall.`);
