"use strict";
// The reader draws pictures; a trained plastic network sees them, and completes one of them from its half.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const networks = data.networks.map(({ network, parameters }) => new Network(network, parameters)); // by age
const SIDE = data.side;
const RANGE = data.bits ? 1 : 2; // at both ends of the grey scale, in standard deviations if they are no bits
const scale = data.bits ? signs : standardised;
const pictures = data.pictures.map((picture) => [...picture]); // each pixel from 0, dark, to 1, light
let asked = 0; // which of them is on the sheet, and asked for

const places = (number) => fixed(number, 2);

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
  const scaled = pictures.map(scale);
  const wanted = scaled[asked];
  const cue = wanted.map((value, k) => (hidden[k] ? 0 : value));
  const inputs = shownInTurn(scaled, data.timing);
  const answers = [false, true].map((wiped) => answerCue(networks[Number(element("age").value)], inputs, cue, data.timing.showSteps, wiped));
  const [error, wipedError] = answers.map((answer) => hiddenError(answer, wanted, hidden));
  const said = answers.map((answer, k) => {
    const right = data.bits ? `, ${hiddenRight(answer, wanted, hidden)} of ${hidden.filter(Boolean).length} bits right` : "";
    return `${places([error, wipedError][k])}${right}`;
  });
  const [painted, wiped] = answers.map((answer) => wanted.map((value, k) => (hidden[k] ? answer[k] : value)));
  grid.draw();
  thumbs.forEach((thumb, k) => {
    thumb.setAttribute("aria-pressed", k === asked);
    drawPicture(thumb.firstChild, scaled[k], `picture ${k + 1}`);
  });
  drawPicture(element("cue"), cue, `The cue: picture ${asked + 1} without its ${half} half.`, hidden);
  drawPicture(element("painted"), painted, `What the network paints into the ${half} half: error ${said[0]}.`);
  drawPicture(element("wiped"), wiped, `What it paints without its traces: error ${said[1]}.`);
  element("error").textContent = said[0];
  element("error-wiped").textContent = said[1];
  element("steps").textContent = `${inputs.length} with ${pictures.length} pictures, ${data.timing.showSteps} with the cue`;
  element("original").disabled = pictures[asked].every((value, k) => value === data.pictures[asked][k]);
  const flat = data.bits ? [] : pictures.flatMap((picture, k) => (picture.every((value) => value === picture[0]) ? [k + 1] : []));
  const note = flat.length ? ` Picture ${flat.join(", ")} is of one shade, so the network sees nothing there.` : "";
  element("message").textContent = `Picture ${asked + 1}, ${half} half hidden: error ${said[0]}; with the traces wiped ${said[1]}. The answer grey has ${data.bits ? "" : "about "}1.${note}`;
}

// All at once: nothing is done if a part of it is refused.
function follow(text) {
  try {
    const { picture, hidden, age } = readSettings(text, data.settings);
    if (picture !== undefined) asked = Number(picture) - 1;
    if (hidden !== undefined) element("half").value = hidden;
    if (age !== undefined) element("age").value = data.settings.age.indexOf(age);
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
data.networks.forEach(({ age }, k) => element("age").add(new Option(age, k)));
element("age").value = networks.length - 1;
document.querySelector('[data-needs="ages"]').hidden = networks.length === 1;
element("half").value = data.hidden;
for (const id of ["half", "age"]) element(id).addEventListener("change", draw);
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
