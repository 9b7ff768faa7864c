"use strict";
// A slider over pictures that were drawn beforehand.

const data = JSON.parse(document.getElementById("data").textContent);
const picture = document.getElementById("picture");
const slider = document.getElementById("slider");
const label = document.getElementById("label");
const play = document.getElementById("play");
let timer = null;

function showFrame(index) {
  slider.value = index;
  picture.src = data.frames[themeNumber()][index];
  picture.alt = data.alts[index];
  label.textContent = data.labels[index];
  slider.setAttribute("aria-valuetext", data.labels[index]);
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}

function start() {
  if (Number(slider.value) === data.labels.length - 1) showFrame(0);
  play.textContent = "Pause";
  timer = setInterval(() => {
    const next = Number(slider.value) + 1;
    if (next < data.labels.length) showFrame(next);
    if (next >= data.labels.length - 1) stop();
  }, 700);
}

fit(picture, data);
slider.max = data.labels.length - 1;
slider.setAttribute("aria-label", document.title);
play.addEventListener("click", () => (timer === null ? start() : stop()));
slider.addEventListener("input", () => {
  stop();
  showFrame(Number(slider.value));
});
showFrame(0);
addEventListener("themechange", () => showFrame(Number(slider.value)));
