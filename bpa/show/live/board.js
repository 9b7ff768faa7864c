"use strict";
// Draws a maze on a canvas, in the colours of the style sheet.

// Dark to light, as in matplotlib's viridis and cividis, at nine places.
const TIME_MAP = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const SIGNED_MAP = ["#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838"];

function mapColor(map, fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (map.length - 1);
  const low = Math.min(Math.floor(place), map.length - 2);
  return [1, 3, 5].map((at) => {
    const [from, to] = [map[low], map[low + 1]].map((color) => parseInt(color.slice(at, at + 2), 16));
    return Math.round(from + (to - from) * (place - low));
  });
}

function themeColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

// The widest that a canvas can be here, up to `most`; a hidden frame has no width at all.
function fittingWidth(most) {
  return Math.max(60, Math.min(most, document.documentElement.clientWidth - 4));
}

// A canvas of width x height CSS pixels, sharp on a dense screen; returns its context, cleared.
function prepared(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.style.width = width + "px";
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  context.clearRect(0, 0, width, height);
  return context;
}

function drawCells(context, side, rows, columns, isWall) {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      context.fillStyle = themeColor(isWall(row, column) ? "wall" : "floor");
      const [left, top] = [Math.round(column * side), Math.round(row * side)]; // whole pixels leave no seams
      context.fillRect(left, top, Math.round((column + 1) * side) - left, Math.round((row + 1) * side) - top);
    }
  }
  context.strokeStyle = themeColor("wall");
  context.strokeRect(0.5, 0.5, columns * side - 1, rows * side - 1);
}

function drawAgent(context, side, [row, column]) {
  context.beginPath();
  context.arc((column + 0.5) * side, (row + 0.5) * side, side * 0.3, 0, 2 * Math.PI);
  context.fillStyle = themeColor("agent");
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = themeColor("outline");
  context.stroke();
}

function drawStar(context, side, [row, column]) {
  context.beginPath();
  for (let point = 0; point < 10; point++) {
    const radius = side * (point % 2 ? 0.18 : 0.44);
    const angle = (point * Math.PI) / 5 - Math.PI / 2;
    context.lineTo((column + 0.5) * side + radius * Math.cos(angle), (row + 0.5) * side + radius * Math.sin(angle));
  }
  context.closePath();
  context.fillStyle = themeColor("goal");
  context.fill();
  context.lineWidth = 1;
  context.strokeStyle = themeColor("outline");
  context.stroke();
}

// path: [{ from, to, time }]. The line drifts across its corridor as time passes, so passes lie side by side.
function drawWalk(context, side, path, episodeLength) {
  context.lineWidth = Math.max(side / 10, 2);
  context.lineCap = "round";
  const place = ([row, column], time) => {
    const drift = 0.5 + 0.56 * (time / episodeLength - 0.5);
    return [(column + drift) * side, (row + drift) * side];
  };
  for (const { from, to, time } of path) {
    const [red, green, blue] = mapColor(TIME_MAP, time / episodeLength);
    context.strokeStyle = `rgb(${red}, ${green}, ${blue})`;
    context.beginPath();
    context.moveTo(...place(from, time));
    context.lineTo(...place(to, time + 1));
    context.stroke();
  }
}

// A goal that another agent had: it pays nothing here.
function drawForeignGoal(context, side, [row, column]) {
  context.globalAlpha = 0.35;
  drawStar(context, side, [row, column]);
  context.globalAlpha = 1;
}

// Where a decoder reads the goal, between cells too: a ring with a question mark.
function drawBelief(context, side, [row, column]) {
  const [x, y] = [(column + 0.5) * side, (row + 0.5) * side];
  for (const [width, color] of [[5, "floor"], [2.5, "outline"]]) { // seen on walls and on the floor
    context.beginPath();
    context.arc(x, y, side * 0.5, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = themeColor(color);
    context.stroke();
  }
  context.font = `bold ${Math.round(side * 0.7)}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.strokeStyle = themeColor("floor");
  context.strokeText("?", x, y);
  context.fillStyle = themeColor("outline");
  context.fillText("?", x, y);
}

// Where a hand would put the goal or the agent.
function drawHand(context, side, what, [row, column]) {
  context.globalAlpha = 0.6;
  (what === "goal" ? drawStar : drawAgent)(context, side, [row, column]);
  context.globalAlpha = 1;
  context.setLineDash([4, 3]);
  context.lineWidth = 2;
  context.strokeStyle = themeColor("outline");
  context.strokeRect(column * side + 1, row * side + 1, side - 2, side - 2);
  context.setLineDash([]);
}

// The whole maze from above; the path may be left out. `over(context, side)` draws what lies on it.
function drawMaze(canvas, width, maze, path = [], over = () => {}) {
  const side = width / maze.size;
  const context = prepared(canvas, width, width);
  drawCells(context, side, maze.size, maze.size, (row, column) => maze.walls[row][column]);
  drawWalk(context, side, path, maze.episodeLength);
  drawStar(context, side, maze.goal);
  drawAgent(context, side, maze.agent);
  over(context, side);
}

// Only what the agent senses: the 3 x 3 cells around it.
function drawSensed(canvas, width, observation) {
  const side = width / 3;
  const context = prepared(canvas, width, width);
  drawCells(context, side, 3, 3, (row, column) => observation[3 * row + column] === 1);
  drawAgent(context, side, [1, 1]);
}

const SIGNED_COLORS = Array.from({ length: 256 }, (_, k) => mapColor(SIGNED_MAP, k / 255));

// A trace [H, H] as an image of H x H cells, from -limit to limit; returns words about its size.
function drawTrace(canvas, width, trace, H, limit) {
  canvas.width = H;
  canvas.height = H;
  canvas.style.width = width + "px";
  const context = canvas.getContext("2d");
  const image = context.createImageData(H, H);
  let largest = 0;
  for (let k = 0; k < H * H; k++) {
    const place = Math.round(255 * (0.5 + trace[k] / (2 * limit)));
    const color = SIGNED_COLORS[Math.min(Math.max(place, 0), 255)];
    for (let part = 0; part < 3; part++) image.data[4 * k + part] = color[part];
    image.data[4 * k + 3] = 255;
    largest = Math.max(largest, Math.abs(trace[k]));
  }
  context.putImageData(image, 0, 0);
  const words = `largest entry ${fixed(largest, 2)}`;
  canvas.setAttribute("aria-label", `The Hebbian trace as an image of ${H} by ${H} cells; ${words}.`);
  return words;
}
