"use strict";
// The reader is the agent of the maze.

const data = JSON.parse(document.getElementById("data").textContent);
const seeds = uniformSource(data.seed);
const element = (id) => document.getElementById(id);
const board = element("board");
const buttons = [...document.querySelectorAll("button[data-action]")];
const ACTION_NAMES = ["up", "down", "left", "right"];
const SWIPE = 24; // CSS pixels that a finger goes at least, else it taps
let maze; // a GridMaze of the chosen length
let uniform; // the noise of this episode
let score;
let path;
let hits; // the steps that reached the goal
let mapped; // whether the map was seen before the end
const tally = new Map(); // rewards of whole episodes by their kind

const say = (words, unseen) => sayWords(element("message"), words, unseen);
const kind = () => `${maze.episodeLength} steps, ${mapped ? "with the map" : "with nine cells"}`;
const onMap = () => maze.done || element("view").value === "map";
const cellWords = ([row, column]) => `row ${row}, column ${column}`;

function sensedWords(sensed) {
  const places = [[1, "up"], [7, "down"], [3, "left"], [5, "right"]];
  const free = places.filter(([at]) => sensed[at] === 0).map(([, name]) => name);
  const corners = [[0, "upper left"], [2, "upper right"], [6, "lower left"], [8, "lower right"]];
  const open = corners.filter(([at]) => sensed[at] === 0).map(([, name]) => name);
  return `You can go ${free.join(", ")}. ${open.length ? `The corners ${open.join(", ")} are free.` : "No corner is free."}`;
}

function drawStanding() {
  const { episodeLength } = maze;
  const rows = data.scores[episodeLength].map((row) => ({ ...row }));
  if (maze.time > 0) rows.push({ name: maze.done ? "you, in this episode" : `you, so far, ${maze.time} steps`, reward: score, you: true });
  const rewards = tally.get(kind()) ?? [];
  if (maze.done && rewards.length > 1) rows.push({ name: `you, mean of ${rewards.length}`, knows: kind(), reward: meanAndError(rewards).mean, you: true });
  element("scale-title").textContent = `Reward of an episode of ${episodeLength} steps`;
  if (rows.length) drawScale(element("scale"), rows);
}

function draw() {
  if (onMap() && !maze.done) mapped = true;
  const sensed = maze.observation();
  if (onMap()) drawMaze(board, fittingWidth(330), maze, path);
  else drawSensed(board, fittingWidth(330), sensed);
  const where = onMap() ? ` You are at ${cellWords(maze.agent)}; the goal is at ${cellWords(maze.goal)}.` : "";
  const keys = maze.done ? "" : "; move with the arrow keys";
  board.setAttribute("aria-label", `The maze${keys}. ${sensedWords(sensed)}${where}`);
  board.style.touchAction = maze.done ? "auto" : "none"; // a finger that moves the agent does not scroll
  element("board-words").textContent = onMap() ? `The whole maze. Your path runs from dark, the first step, to light${maze.done ? "" : ", this one"}; the star is the goal.` : "What the agent senses around it.";
  element("score").textContent = score;
  element("time").textContent = `${maze.time} / ${maze.episodeLength}`;
  element("previous").textContent = maze.previousReward;
  element("action").textContent = maze.time ? ACTION_NAMES[maze.previousAction] : "none yet, told as up";
  const numbers = sensed.map((number) => (Number.isInteger(number) ? number : number.toFixed(3)));
  element("neighbourhood").textContent = [0, 3, 6].map((at) => numbers.slice(at, at + 3).join(" ")).join("\n");
  element("others").textContent = `${numbers.slice(9, 11).join(" ")}\n${numbers[11]}\n${numbers[12]}\n${numbers.slice(13).join(" ")}`;
  if (maze.done && buttons.includes(document.activeElement)) element("new").focus({ preventScroll: true });
  buttons.forEach((button) => { button.disabled = maze.done; });
  drawStanding();
}

function endWords() {
  const found = hits.length ? `You first reached the goal at step ${hits[0]}, and ${counted(hits.length - 1, "time")} after that.` : "You did not reach the goal.";
  return ` Time is up: you scored ${score} in ${maze.episodeLength} steps. ${found} It was at ${cellWords(maze.goal)}; the map shows it, and where you went.`;
}

function move(action) {
  if (maze.done) return;
  const before = maze.agent;
  const { reward, landed, found, blocked } = maze.step(action, uniform());
  score += reward;
  path.push({ from: before, to: landed, time: maze.time - 1 });
  if (found) hits.push(maze.time);
  let message = blocked ? `A wall: you stay where you are.` : `You moved ${ACTION_NAMES[action]}.`;
  if (found) message = `Reward ${reward}! You were put on another cell; the goal stays where it is.`;
  if (maze.done) {
    tally.set(kind(), [...(tally.get(kind()) ?? []), score]);
    message += endWords();
  }
  say(message, maze.done ? "" : ` ${sensedWords(maze.observation())}`);
  element("message").classList.toggle("reward", found);
  draw();
}

// A new episode, or that of a number.
function begin(number) {
  uniform = uniformSource(number === undefined ? Math.floor(2 ** 32 * seeds()) : Number(number));
  maze = new GridMaze({ ...data.maze, episodeLength: Number(element("length").value) });
  maze.reset(uniform());
  [score, path, hits, mapped] = [0, [], [], false];
  const which = number === undefined ? "" : `Episode ${number}, the same for everybody. `;
  say(`${which}Somewhere in this maze is a reward. You start at the centre.`);
  element("message").classList.remove("reward");
  draw();
}

// A link of the page: all at once, nothing if a part of it is refused.
function follow(text) {
  try {
    const { steps, view, episode, scale } = readSettings(text, data.settings);
    if (scale !== undefined) element("standing").open = scale === "open";
    if (view !== undefined) element("view").value = view;
    if (steps !== undefined) element("length").value = steps;
    if (steps !== undefined || episode !== undefined) begin(episode);
    else draw();
    const first = scale === "open" ? element("standing").querySelector("summary") : board;
    first.focus({ preventScroll: true });
  } catch (error) {
    say(`This link was not followed: ${error.message}.`);
  }
}

const KEYS = { ArrowUp: 0, ArrowDown: 1, ArrowLeft: 2, ArrowRight: 3 };
document.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS) || event.target.tagName === "SELECT") return;
  event.preventDefault(); // the page must not scroll
  move(KEYS[event.key]);
});

// A finger swipes, or taps on a side of the agent; the mouse only gives the maze the keys.
let pressed = null;
board.addEventListener("pointerdown", (event) => {
  pressed = event.pointerType === "mouse" || !event.isPrimary ? null : [event.clientX, event.clientY];
});
board.addEventListener("pointercancel", () => { pressed = null; });
board.addEventListener("pointerup", ({ clientX, clientY }) => {
  if (pressed === null) return;
  let [right, down] = [clientX - pressed[0], clientY - pressed[1]];
  pressed = null;
  if (Math.max(Math.abs(right), Math.abs(down)) < SWIPE) {
    const box = board.getBoundingClientRect();
    const [row, column, size] = onMap() ? [...maze.agent, maze.size] : [1, 1, 3];
    right = ((clientX - box.left) / box.width) * size - column - 0.5;
    down = ((clientY - box.top) / box.height) * size - row - 0.5;
    if (Math.max(Math.abs(right), Math.abs(down)) < 0.5) return; // on the agent itself
  }
  move(Math.abs(down) > Math.abs(right) ? (down < 0 ? 0 : 1) : right < 0 ? 2 : 3);
});

for (const steps of data.settings.steps) element("length").add(new Option(`${steps} steps`, steps));
buttons.forEach((button) => button.addEventListener("click", () => move(Number(button.dataset.action))));
element("new").addEventListener("click", () => {
  begin();
  board.focus({ preventScroll: true });
});
element("length").addEventListener("change", () => begin());
element("view").addEventListener("change", draw);
element("standing").hidden = Object.values(data.scores).every((rows) => rows.length === 0);
addEventListener("settings", ({ detail }) => follow(detail));
addEventListener("themechange", draw);
addEventListener("resize", draw);
begin();
