"use strict";
// The reader draws pictures; a trained plastic network sees them, and completes one of them from its half.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const network = new Network(data.network, data.parameters);
const SIDE = data.side;
const RANGE = 2; // standard deviations at both ends of the grey scale
const pictures = data.pictures.map((picture) => [...picture]); // each pixel from 0, dark, to 1, light
let asked = 0; // which of them is on the sheet, and asked for

const places = (number) => number.toFixed(2);

function shade(value) {
  const level = Math.round(255 * Math.min(Math.max(value, 0), 1));
  return [level, level, level];
}

// A picture in standard deviations; what is hidden and not painted is hatched.
function drawPicture(canvas, values, words, hatched = null) {
  const across = 20 * SIDE;
  const context = prepared(canvas, across, across);
  canvas.style.width = "";
  values.forEach((value, k) => {
    const [left, top] = [20 * (k % SIDE), 20 * Math.floor(k / SIDE)];
    context.fillStyle = `rgb(${shade((value + RANGE) / (2 * RANGE)).join(", ")})`;
    context.fillRect(left, top, 20, 20);
    if (!hatched || !hatched[k]) return;
    context.strokeStyle = "#000000";
    context.beginPath();
    context.moveTo(left + 4, top + 16);
    context.lineTo(left + 16, top + 4);
    context.stroke();
  });
  canvas.setAttribute("aria-label", words);
}

function draw() {
  const half = element("half").value;
  const hidden = hiddenPixels(half, SIDE);
  const scaled = pictures.map(standardised);
  const wanted = scaled[asked];
  const cue = wanted.map((value, k) => (hidden[k] ? 0 : value));
  const inputs = shownInTurn(scaled, data.timing);
  const answers = [false, true].map((wiped) => answerCue(network, inputs, cue, data.timing.showSteps, wiped));
  const [error, wipedError] = answers.map((answer) => hiddenError(answer, wanted, hidden));
  const [painted, wiped] = answers.map((answer) => wanted.map((value, k) => (hidden[k] ? answer[k] : value)));
  grid.draw();
  thumbs.forEach((thumb, k) => {
    thumb.setAttribute("aria-pressed", k === asked);
    drawPicture(thumb.firstChild, scaled[k], `picture ${k + 1}`);
  });
  drawPicture(element("cue"), cue, `The cue: picture ${asked + 1} without its ${half} half.`, hidden);
  drawPicture(element("painted"), painted, `What the network paints into the ${half} half: error ${places(error)}.`);
  drawPicture(element("wiped"), wiped, `What it paints without its traces: error ${places(wipedError)}.`);
  element("error").textContent = places(error);
  element("error-wiped").textContent = places(wipedError);
  element("steps").textContent = `${inputs.length} with ${pictures.length} pictures, ${data.timing.showSteps} with the cue`;
  element("original").disabled = pictures[asked].every((value, k) => value === data.pictures[asked][k]);
  const flat = pictures.flatMap((picture, k) => (picture.every((value) => value === picture[0]) ? [k + 1] : []));
  const note = flat.length ? ` Picture ${flat.join(", ")} is of one shade, so the network sees nothing there.` : "";
  element("message").textContent = `Picture ${asked + 1}, ${half} half hidden: error ${places(error)}, with the traces wiped ${places(wipedError)}; the answer grey has about 1.${note}`;
}

// All at once: nothing is done if a part of it is refused.
function follow(text) {
  try {
    const { picture, hidden } = readSettings(text, data.settings);
    if (picture !== undefined) asked = Number(picture) - 1;
    if (hidden !== undefined) element("half").value = hidden;
    draw();
  } catch (error) {
    element("message").textContent = `This link was not followed: ${error.message}.`;
  }
}

const grid = new PixelGrid(element("sheet"), SIDE, {
  pen: (place) => (pictures[asked][place] > 0.5 ? 0 : 1),
  erased: 0,
  paint: (place, value) => {
    pictures[asked][place] = value;
    draw();
  },
  look: (place) => {
    const value = pictures[asked][place];
    return [`rgb(${shade(value).join(", ")})`, `${Math.round(100 * value)}% light`];
  },
});
const thumbs = pictures.map((_, k) => {
  const button = document.createElement("button");
  const canvas = document.createElement("canvas");
  button.type = "button";
  button.className = "thumb";
  canvas.setAttribute("role", "img");
  button.append(canvas);
  button.addEventListener("click", () => {
    asked = k;
    draw();
  });
  element("pictures").append(button);
  return button;
});
element("half").addEventListener("change", draw);
element("blank").addEventListener("click", () => {
  pictures[asked].fill(0);
  draw();
});
element("original").addEventListener("click", () => {
  pictures[asked] = [...data.pictures[asked]];
  draw();
});
addEventListener("settings", ({ detail }) => follow(detail));
draw();
