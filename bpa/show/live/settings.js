"use strict";
// What a link or a slider sets: always one of a list of values, as text.

// "letters=20,rule=oja" -> { letters: "20", rule: "oja" }; an Error unless each is among those allowed.
function readSettings(text, allowed) {
  const settings = {};
  for (const part of String(text).split(",")) {
    const [name, value, ...more] = part.split("=");
    if (value === undefined || more.length) throw new Error(`a setting must be name=value, got ${JSON.stringify(part)}`);
    requireKnown("a setting", name, Object.keys(allowed));
    requireKnown(name, value, allowed[name]);
    if (name in settings) throw new Error(`${name} must be set once, got ${JSON.stringify(text)}`);
    settings[name] = value;
  }
  return settings;
}

// A slider over such a list; `changed` is called when the reader moves it.
function listSlider(id, values, start, changed) {
  const slider = document.getElementById(id);
  Object.assign(slider, { min: 0, max: values.length - 1, step: 1, value: values.indexOf(start) });
  slider.addEventListener("input", changed);
}

function sliderValue(id, values) {
  return values[Number(document.getElementById(id).value)];
}

// The value beside each slider, and for a screen reader.
function tellSlider(id, values) {
  const value = sliderValue(id, values);
  document.getElementById(`${id}-value`).textContent = value;
  document.getElementById(id).setAttribute("aria-valuetext", value);
}
