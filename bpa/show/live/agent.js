"use strict";
// A trained network lives in the page: it senses, acts and rewires itself, step by step. Its reader operates on it.

const data = JSON.parse(document.getElementById("data").textContent);
const lab = new Laboratory(data.maze, data.network, data.parameters);
const { subject } = lab;
const { maze, network } = subject;
const seeds = uniformSource(data.seed);
const element = (id) => document.getElementById(id);
const EPISODES = 20; // what the button "Run 20 episodes" runs
// Reward of whole episodes: left alone, without the traces, and those in which the reader did something else.
const tally = { with: [], without: [], operated: [] };
const PAUSE = 2000; // milliseconds between two episodes of a figure that plays by itself
let timer = null;
let byItself = false;

function begin(seed = Math.floor(2 ** 32 * seeds())) {
  lab.begin(seed, lab.levers);
}

function act() {
  lab.step();
  if (lab.done) tally[lab.kind].push(subject.score);
}

function drawModulation() {
  const canvas = element("modulation");
  const [across, high] = [fittingWidth(620), 120];
  const context = prepared(canvas, across, high);
  const x = (step) => (step / maze.episodeLength) * (across - 34) + 30;
  const y = (value) => high / 2 - value * (high / 2 - 10);
  context.fillStyle = themeColor("faint");
  context.font = "12px system-ui, sans-serif";
  context.strokeStyle = themeColor("line");
  context.lineWidth = 1;
  for (const value of [-1, 0, 1]) {
    context.fillText(value, value < 0 ? 8 : 12, y(value) + 4);
    context.beginPath();
    context.moveTo(30, y(value));
    context.lineTo(across - 4, y(value));
    context.stroke();
  }
  context.setLineDash([3, 3]);
  context.strokeStyle = themeColor("mark");
  context.lineWidth = 1.5;
  for (const step of subject.rewardSteps) {
    context.beginPath();
    context.moveTo(x(step), 4);
    context.lineTo(x(step), high - 4);
    context.stroke();
  }
  context.setLineDash([]);
  context.strokeStyle = themeColor("signal");
  context.lineWidth = 2;
  context.beginPath();
  subject.modulation.forEach((value, k) => context.lineTo(x(k + 1), y(value)));
  context.stroke();
  const now = subject.modulation.length ? subject.modulation.at(-1).toFixed(2) : "0";
  canvas.setAttribute("aria-label", `Modulation M(t) over the episode, from -1 to 1; now ${now}, after ${subject.rewardSteps.length} rewards.`);
}

function summary(rewards) {
  if (!rewards.length) return "no whole episode yet";
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
  return `mean reward ${mean.toFixed(1)} in ${rewards.length} episode${rewards.length > 1 ? "s" : ""}`;
}

const cellWords = ([row, column]) => `row ${row}, column ${column}`;

function drawLife(id, life, words) {
  drawMaze(element(id), fittingWidth(300), life.maze, life.path);
  element(id).setAttribute("aria-label", `${words} at ${cellWords(life.maze.agent)}, the goal at ${cellWords(life.maze.goal)}.`);
}

function draw() {
  drawLife("maze", subject, "The maze from above. The agent is");
  if (element("laboratory").open) {
    const twin = lab.leftAlone(); // it lives only where it is seen
    drawLife("twin", twin, "The same agent left alone. It is");
    element("twin-score").textContent = twin.score;
  }
  if (network.hebb !== null) {
    element("hebb-size").textContent = drawTrace(element("hebb"), fittingWidth(300), network.hebb, network.hiddenSize, data.hebbLimit);
  }
  if (network.modulated) drawModulation();
  element("time").textContent = `${maze.time} / ${maze.episodeLength}`;
  element("score").textContent = subject.score;
  const gaps = subject.rewardSteps.map((step, k, steps) => step - (k ? steps[k - 1] : 0));
  element("gaps").textContent = gaps.length ? gaps.join(", ") : "none yet";
  for (const [id, rewards] of Object.entries(tally)) element(id).textContent = summary(rewards);
  element("step").disabled = lab.done;
  element("back").disabled = lab.time === 0;
  element("traces").checked = network.traces;
  element("frozen").checked = network.frozen;
  element("forced").value = network.forced ?? "";
}

// What the reader does ends the playing by itself; the figure itself only goes on to the next episode.
function halt() {
  clearInterval(timer);
  timer = null;
  element("play").textContent = "Play";
}

function pause() {
  byItself = false;
  halt();
}

function play() {
  if (lab.done) begin();
  element("play").textContent = "Pause";
  timer = setInterval(() => {
    act();
    if (lab.done && byItself) {
      clearInterval(timer);
      timer = setTimeout(play, PAUSE);
    } else if (lab.done) halt();
    draw();
  }, 1000 / Number(element("speed").value));
}

// A button that ends the playing, does something, and shows it.
function onPress(id, what) {
  element(id).addEventListener("click", () => {
    pause();
    what();
    draw();
  });
}

element("play").addEventListener("click", () => {
  if (timer === null) play();
  else pause();
});
element("speed").addEventListener("change", () => {
  if (timer === null) return;
  halt();
  play();
});
onPress("step", () => { if (!lab.done) act(); });
onPress("back", () => lab.goTo(lab.time - 1));
onPress("new", () => begin());
onPress("again", () => begin(lab.seed));
onPress("many", () => {
  for (let episode = 0; episode < EPISODES; episode++) {
    begin();
    while (!lab.done) act();
  }
});
// A deed is done to the episode on its way; a lever stays where it is in those that follow.
function operate(name, value) {
  lab.do(name, value);
  draw();
}
for (const id of ["traces", "frozen"]) element(id).addEventListener("change", ({ target }) => operate(id, target.checked));
element("forced").addEventListener("change", ({ target }) => operate("forced", target.value === "" ? null : Number(target.value)));
for (const what of ["h", "hebb"]) element(`wipe-${what}`).addEventListener("click", () => operate("wipe", what));
element("laboratory").addEventListener("toggle", ({ target }) => {
  element("beside").hidden = !target.open;
  draw();
});
for (const [part, present] of [["traces", network.hebb !== null], ["modulator", network.modulated]]) {
  document.querySelectorAll(`[data-needs="${part}"]`).forEach((node) => { node.hidden = !present; });
}
addEventListener("themechange", draw);
addEventListener("resize", draw);
begin();
draw();
if (data.autoplay) {
  addEventListener(
    "themechange", // the first word of the page around it, which says whether its reader wants less motion
    () => {
      if (document.documentElement.dataset.motion !== "any" || timer !== null || lab.time > 0) return;
      byItself = true;
      play();
    },
    { once: true },
  );
}
