"use strict";
// The reader drives two cells step by step; a slider lives all the steps again with another number.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const SLIDERS = ["w", "alpha", "eta", "clip"];
const MOST = data.most; // steps
const LAST = 40; // that the curves show
const retroactive = data.plasticity === "retroactive";
const modulated = data.plasticity !== "plastic";
const SVG = "http://www.w3.org/2000/svg";
let steps = []; // what came from outside at each, and M
let pair, moments;

const valuesOf = (id) => data.settings[id] ?? [data.start[id]]; // what a slider offers; one that is not there, its start
const number = (id) => Number(sliderValue(id, valuesOf(id)));
const rounded = (value) => fixed(value, 3);
const connection = () => element("connection").value.split(",").map(Number);

function live() {
  pair = new Pair({ plasticity: data.plasticity, ...Object.fromEntries(SLIDERS.map((id) => [id, number(id)])) });
  moments = pair.live(steps);
}

// In brackets if it is negative, so that signs do not meet.
const inside = (value) => (value < 0 && rounded(value) !== "0.000" ? `(${rounded(value)})` : rounded(value));

function rows() {
  const [i, j] = connection();
  const [from, to] = [i + 1, j + 1];
  if (!steps.length) return [];
  const s = pair.explain(moments.at(-2), moments.at(-1), steps.at(-1), i, j);
  const before = moments.at(-2).x;
  const rate = modulated ? "M" : "η";
  const change = retroactive
    ? [`change of the trace, M E`, `${inside(s.rate)} · ${inside(s.source)}`]
    : [`change of the trace, ${rate} x${from} x${to}`, `${inside(s.rate)} · ${inside(s.pre)} · ${inside(s.post)}`];
  return [
    [`strength before, w + α Hebb`, `${inside(s.w)} + ${inside(pair.alpha)} · ${inside(s.hebb)}`, s.strength],
    [`what arrives at cell ${to}`, `${inside(s.input)} + ${inside(s.strengths[0])} · ${inside(before[0])} + ${inside(s.strengths[1])} · ${inside(before[1])}`, s.arriving],
    [`new activity x${to}`, `tanh(${rounded(s.arriving)})`, s.post],
    [...change, s.change],
    [`new trace, clipped at ${pair.clip}`, `${inside(s.hebb)} + ${inside(s.change)}`, s.newHebb],
    ...(retroactive ? [[`new E, (1 − η) E + η x${from} x${to}`, `${rounded(1 - pair.eta)} · ${inside(s.eligibility)} + ${rounded(pair.eta)} · ${inside(s.product)}`, s.newEligibility]] : []),
    [`new strength`, `${inside(s.w)} + ${inside(pair.alpha)} · ${inside(s.newHebb)}`, s.newStrength],
  ];
}

function drawNumbers() {
  element("numbers").replaceChildren(
    ...rows().map(([quantity, formula, value], k) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = quantity;
      row.append(head);
      [formula, rounded(value)].forEach((words) => {
        const cell = document.createElement("td");
        cell.textContent = words;
        row.append(cell);
      });
      row.dataset.row = k;
      return row;
    }),
  );
}

const CELLS = [[110, 80], [310, 80]];
const PATHS = { "0,1": "M 132 72 Q 210 40 288 72", "1,0": "M 288 88 Q 210 120 132 88", "0,0": "M 92 66 C 30 20 30 140 92 94", "1,1": "M 328 66 C 390 20 390 140 328 94" };

function makeNet() {
  const make = (kind, attributes, words) => {
    const made = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (words) made.textContent = words;
    element("net").append(made);
  };
  for (const [key, d] of Object.entries(PATHS)) make("path", { class: "wire", d, id: `wire-${key.replace(",", "")}`, fill: "none", "marker-end": "url(#tip)" });
  CELLS.forEach(([x, y], k) => {
    make("circle", { class: "cell", id: `cell-${k}`, cx: x, cy: y, r: 22 });
    make("text", { x, y: 22, "text-anchor": "middle", id: `input-${k}` });
    make("text", { x, y: 140, "text-anchor": "middle", id: `x-${k}` });
  });
  make("text", { x: 210, y: 38, "text-anchor": "middle", id: "forth" });
  make("text", { x: 210, y: 126, "text-anchor": "middle", id: "forth-back" });
}

function drawNet() {
  const now = moments.at(-1);
  const strengths = [0, 1, 2, 3].map((k) => pair.w[k] + pair.alpha * now.hebb[k]);
  for (const key of Object.keys(PATHS)) {
    const [i, j] = key.split(",").map(Number);
    const wire = element(`wire-${i}${j}`);
    wire.style.strokeWidth = `${(6 * Math.min(Math.abs(strengths[2 * i + j]), 2)).toFixed(3)}px`;
    wire.classList.toggle("negative", strengths[2 * i + j] < 0);
  }
  for (const k of [0, 1]) {
    element(`cell-${k}`).style.fill = `rgb(${mapColor(SIGNED_MAP, (now.x[k] + 1) / 2).join(", ")})`;
    element(`input-${k}`).textContent = steps.length ? `input ${steps.at(-1).inputs[k]}` : "";
    element(`x-${k}`).textContent = `cell ${k + 1}: ${rounded(now.x[k])}`;
  }
  element("forth").textContent = rounded(strengths[1]);
  element("forth-back").textContent = rounded(strengths[2]);
  const words = steps.length ? `after step ${steps.length}` : "before the first step";
  element("net").setAttribute(
    "aria-label",
    `Two cells ${words}: cell 1 is at ${rounded(now.x[0])}, cell 2 at ${rounded(now.x[1])}. Strength from 1 to 2 ${rounded(strengths[1])}, from 2 to 1 ${rounded(strengths[2])}, of cell 1 on itself ${rounded(strengths[0])}, of cell 2 on itself ${rounded(strengths[3])}.`,
  );
}

// The curves of the connection, in two bands: what each is called, its colour, its dashes and its values.
function bands() {
  const [i, j] = connection();
  const k = 2 * i + j;
  const traces = [["trace Hebb (dashed)", "signal", [7, 4], moments.map(({ hebb }) => hebb[k])]];
  if (retroactive) traces.push(["eligibility E (dotted)", "mark", [2, 3], moments.map(({ eligibility }) => eligibility[k])]);
  return [[[`activity of cell ${j + 1} (solid)`, "ink", [], moments.map(({ x }) => x[j])]], traces];
}

// Each band has its own scale: the activity from -1 to 1, the traces as far as they went.
function drawHistory() {
  const canvas = element("history");
  const [across, high] = [fittingWidth(620), 110]; // of a band
  const both = bands();
  const context = prepared(canvas, across, 2 * high);
  const first = Math.max(0, moments.length - 1 - LAST);
  const x = (step) => 44 + ((step - first) / LAST) * (across - 54);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = themeColor("faint");
  both.forEach((curves, band) => {
    const largest = Math.max(...curves.flatMap(([, , , values]) => values.slice(first).map(Math.abs)));
    const top = band === 0 ? 1 : Math.max(Math.ceil(largest * 10) / 10, 0.1);
    const y = (value) => (band + 0.5) * high - (value / top) * (high / 2 - 12);
    context.setLineDash([]);
    context.lineWidth = 1;
    context.strokeStyle = themeColor("line");
    for (const value of [-top, 0, top]) {
      context.fillText(value, 4, y(value) + 4);
      context.beginPath();
      context.moveTo(44, y(value));
      context.lineTo(across - 8, y(value));
      context.stroke();
    }
    context.lineWidth = 2;
    for (const [, color, dash, values] of curves) {
      context.setLineDash(dash);
      context.strokeStyle = themeColor(color);
      context.beginPath();
      values.forEach((value, step) => { if (step >= first) context.lineTo(x(step), y(value)); });
      context.stroke();
    }
  });
  const words = (curves) => curves.map(([name]) => name).join(", ");
  element("legend").textContent = `The last ${LAST} steps. Above: ${words(both[0])}; below, on its own scale: ${words(both[1])}`;
  const now = both.flat().map(([name, , , values]) => `${name.replace(/ \(.*/, "")} ${rounded(values.at(-1))}`);
  canvas.setAttribute("aria-label", `Curves over ${steps.length} steps; now ${now.join(", ")}.`);
}

function tell() {
  const [i, j] = connection();
  if (!steps.length) return "All activities and traces are 0. Choose what comes in, and step.";
  const now = moments.at(-1);
  const k = 2 * i + j;
  const trace = retroactive ? `, E ${rounded(now.eligibility[k])}` : "";
  return `Step ${steps.length}: cell 1 at ${rounded(now.x[0])}, cell 2 at ${rounded(now.x[1])}; from ${i + 1} to ${j + 1} the trace is ${rounded(now.hebb[k])}${trace}.`;
}

function draw() {
  live();
  element("table").hidden = !steps.length; // a head without numbers says nothing
  drawNumbers();
  drawNet();
  drawHistory();
  SLIDERS.forEach((id) => tellSlider(id, valuesOf(id)));
  for (const id of ["step", "ten"]) element(id).disabled = steps.length >= MOST;
  for (const id of ["back", "begin"]) element(id).disabled = !steps.length;
  element("message").textContent = tell();
}

function step(count) {
  const m = modulated ? Number(element("m").value) : null;
  const inputs = ["one", "two"].map((id) => Number(element(id).value));
  for (let k = 0; k < count && steps.length < MOST; k++) steps.push({ inputs, m });
}

// All at once: nothing is done if a part of it is refused.
function follow(text) {
  let asked;
  try {
    asked = readSettings(text, data.settings);
  } catch (error) {
    element("message").textContent = `This link was not followed: ${error.message}.`;
    return;
  }
  if ("begin" in asked) steps = [];
  for (const id of ["one", "two", "m"]) if (id in asked) element(id).value = asked[id];
  for (const id of SLIDERS) if (id in asked) element(id).value = data.settings[id].indexOf(asked[id]);
  step(Number(asked.steps ?? 0));
  draw();
}

for (const id of ["one", "two", "m"]) {
  (data.settings[id] ?? []).forEach((value) => element(id).add(new Option(value)));
  element(id).value = data.start[id] ?? "";
}
SLIDERS.forEach((id) => listSlider(id, valuesOf(id), data.start[id], draw));
for (const [part, present] of [["modulator", modulated], ["eta", data.plasticity !== "simple"]]) {
  document.querySelectorAll(`[data-needs="${part}"]`).forEach((node) => { node.hidden = !present; });
}
element("connection").addEventListener("change", draw);
element("step").addEventListener("click", () => { step(1); draw(); });
element("ten").addEventListener("click", () => { step(10); draw(); });
element("back").addEventListener("click", () => { steps.pop(); draw(); });
element("begin").addEventListener("click", () => { steps = []; draw(); });
addEventListener("settings", ({ detail }) => follow(detail));
addEventListener("themechange", drawHistory);
addEventListener("resize", drawHistory);
makeNet();
draw();
