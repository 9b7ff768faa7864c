"use strict";
// The reader is the agent.

const data = JSON.parse(document.getElementById("data").textContent);
const maze = new GridMaze(data.maze);
const uniform = uniformSource(data.seed);
const element = (id) => document.getElementById(id);
const board = element("board");
const buttons = [...document.querySelectorAll("button[data-action]")];
const ACTION_NAMES = ["up", "down", "left", "right"];
let score = 0;
let path = [];

function sensedWords(sensed) {
  const places = [[1, "up"], [7, "down"], [3, "left"], [5, "right"]];
  const free = places.filter(([at]) => sensed[at] === 0).map(([, name]) => name);
  return `You can go ${free.join(", ")}.`;
}

function draw() {
  const sensed = maze.observation();
  const whole = element("view").value === "map";
  if (whole) drawMaze(board, fittingWidth(330), maze, path);
  else drawSensed(board, fittingWidth(330), sensed);
  const where = whole ? ` You are at row ${maze.agent[0]}, column ${maze.agent[1]}; the goal is at row ${maze.goal[0]}, column ${maze.goal[1]}.` : "";
  board.setAttribute("aria-label", `The maze; move with the arrow keys. ${sensedWords(sensed)}${where}`);
  element("score").textContent = score;
  element("time").textContent = `${maze.time} / ${maze.episodeLength}`;
  element("previous").textContent = maze.previousReward;
  const numbers = sensed.map((number) => (Number.isInteger(number) ? number : number.toFixed(3)));
  element("neighbourhood").textContent = [0, 3, 6].map((at) => numbers.slice(at, at + 3).join(" ")).join("\n");
  element("others").textContent = `${numbers.slice(9, 11).join(" ")}\n${numbers[11]}\n${numbers[12]}\n${numbers.slice(13).join(" ")}`;
  buttons.forEach((button) => { button.disabled = maze.done; });
}

function move(action) {
  if (maze.done) return;
  const before = maze.agent;
  const { reward, landed, found, blocked } = maze.step(action, uniform());
  score += reward;
  path.push({ from: before, to: landed, time: maze.time - 1 });
  let message = blocked ? `A wall: you stay where you are.` : `You moved ${ACTION_NAMES[action]}.`;
  if (found) message = `Reward ${reward}! You were put on another cell; the goal stays where it is.`;
  if (maze.done) message += ` Time is up: you scored ${score} in ${maze.episodeLength} steps.`;
  element("message").textContent = message;
  element("message").classList.toggle("reward", found);
  draw();
}

function begin() {
  maze.reset(uniform());
  score = 0;
  path = [];
  element("message").textContent = "Somewhere in this maze is a reward. You start at the centre.";
  element("message").classList.remove("reward");
  draw();
}

const KEYS = { ArrowUp: 0, ArrowDown: 1, ArrowLeft: 2, ArrowRight: 3 };
document.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS) || event.target.tagName === "SELECT") return;
  event.preventDefault(); // the page must not scroll
  move(KEYS[event.key]);
});
buttons.forEach((button) => button.addEventListener("click", () => move(Number(button.dataset.action))));
element("new").addEventListener("click", () => {
  begin();
  board.focus();
});
element("view").addEventListener("change", draw);
addEventListener("themechange", draw);
addEventListener("resize", draw);
begin();
