"use strict";
// Controls over pictures that were drawn beforehand, one for every combination.

const data = JSON.parse(document.getElementById("data").textContent);
const picture = document.getElementById("picture");
const said = document.getElementById("text");
const places = data.controls.map((control) => control.start);

// The last control changes fastest, as in the list of pictures.
function showCombination() {
  let index = 0;
  data.controls.forEach((control, number) => {
    index = index * control.values.length + places[number];
  });
  picture.src = data.frames[themeNumber()][index];
  picture.alt = data.alts[index];
  said.textContent = data.texts[index];
  said.hidden = !data.texts[index];
}

function slider(control, number) {
  const input = document.createElement("input");
  const output = document.createElement("output");
  input.type = "range";
  input.min = 0;
  input.max = control.values.length - 1;
  input.step = 1;
  input.value = places[number];
  const tell = () => {
    places[number] = Number(input.value);
    output.textContent = control.values[places[number]];
    input.setAttribute("aria-valuetext", control.values[places[number]]);
  };
  tell();
  input.addEventListener("input", () => {
    tell();
    showCombination();
  });
  return [input, output];
}

function choice(control, number) {
  const select = document.createElement("select");
  control.values.forEach((value, place) => select.add(new Option(value, place)));
  select.value = places[number];
  select.addEventListener("change", () => {
    places[number] = Number(select.value);
    showCombination();
  });
  return [select];
}

function toggle(control, number) {
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = places[number] === 1;
  input.addEventListener("change", () => {
    places[number] = input.checked ? 1 : 0;
    showCombination();
  });
  return [input];
}

const MAKERS = { slider, choice, switch: toggle };

fit(picture, data);
data.controls.forEach((control, number) => {
  const row = document.createElement("div");
  row.className = "row";
  const label = document.createElement("label");
  const parts = MAKERS[control.kind](control, number);
  parts[0].id = `control-${number}`;
  label.htmlFor = parts[0].id;
  label.textContent = control.label;
  row.append(label, ...parts);
  document.getElementById("controls").append(row);
});
showCombination();
addEventListener("themechange", showCombination);
