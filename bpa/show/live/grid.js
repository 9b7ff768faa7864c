"use strict";
// A square of pixels to draw on, by mouse, finger and keys.

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

class PixelGrid {
  // pen(place): the value that the pen leaves there; erased: what Delete leaves; paint(place, value): is told of
  // each; look(place): the colour of a pixel and its words.
  constructor(box, side, { pen, erased, paint, look }) {
    Object.assign(this, { box, side, pen, erased, paint, look });
    this.focused = 0; // the pixel that the keys are at
    this.painting = null; // the value that a moving pointer leaves behind
    this.pixels = Array.from({ length: side ** 2 }, (_, place) => {
      const pixel = document.createElement("div");
      pixel.setAttribute("role", "gridcell");
      pixel.className = "pixel";
      pixel.dataset.place = place;
      return pixel;
    });
    box.style.setProperty("--side", side);
    for (let row = 0; row < side; row++) {
      const line = document.createElement("div");
      line.setAttribute("role", "row");
      line.append(...this.pixels.slice(row * side, (row + 1) * side));
      box.append(line);
    }
    box.addEventListener("pointerdown", (event) => this.press(event));
    box.addEventListener("keydown", (event) => this.key(event));
    addEventListener("pointermove", (event) => this.drag(event));
    for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => { this.painting = null; });
  }

  draw() {
    this.pixels.forEach((pixel, k) => {
      const [color, words] = this.look(k);
      pixel.style.background = color;
      pixel.tabIndex = k === this.focused ? 0 : -1;
      pixel.setAttribute("aria-label", `row ${Math.floor(k / this.side) + 1}, column ${(k % this.side) + 1}: ${words}`);
    });
  }

  leave(place, value) {
    this.focused = place;
    this.paint(place, value);
    this.draw();
  }

  press(event) {
    const pixel = event.target.closest(".pixel");
    if (!pixel || event.button !== 0) return;
    event.preventDefault(); // no text is selected
    const place = Number(pixel.dataset.place);
    this.painting = this.pen(place);
    this.leave(place, this.painting);
    pixel.focus();
  }

  drag({ clientX, clientY }) {
    if (this.painting === null) return;
    const pixel = document.elementFromPoint(clientX, clientY)?.closest(".pixel");
    if (pixel && this.pixels.includes(pixel) && Number(pixel.dataset.place) !== this.focused) this.leave(Number(pixel.dataset.place), this.painting);
  }

  key(event) {
    const inside = (place) => Math.min(Math.max(place, 0), this.side - 1);
    if (event.key in MOVES) {
      const [down, right] = MOVES[event.key];
      const [row, column] = [Math.floor(this.focused / this.side), this.focused % this.side];
      this.focused = this.side * inside(row + down) + inside(column + right);
      this.draw();
      this.pixels[this.focused].focus();
    } else if (event.key === " " || event.key === "Enter") this.leave(this.focused, this.pen(this.focused));
    else if (event.key === "Delete" || event.key === "Backspace") this.leave(this.focused, this.erased);
    else return;
    event.preventDefault(); // the page must not scroll
  }
}
