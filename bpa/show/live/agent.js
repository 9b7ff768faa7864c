"use strict";
// A trained network lives in the page: it senses, acts and rewires itself, step by step.

const data = JSON.parse(document.getElementById("data").textContent);
const maze = new GridMaze(data.maze);
const network = new Network(data.network, data.parameters);
// The same agent, left alone, in the same episode with the same noise.
const twin = { maze: new GridMaze(data.maze), network: new Network(data.network, network.parameters) };
const seeds = uniformSource(data.seed);
const element = (id) => document.getElementById(id);
const EPISODES = 20; // what the button "Run 20 episodes" runs
// Reward of whole episodes: left alone, without the traces, and those in which the reader did something else.
const tally = { with: [], without: [], operated: [] };
const PAUSE = 2000; // milliseconds between two episodes of a figure that plays by itself
let observation, path, modulation, rewardSteps, score, operated, seed, uniform, timer = null;
let byItself = false;

// Noise goes by the episode's seed, two numbers a step, whatever the agent does: so it can be lived again.
function begin(again = false) {
  if (!again) seed = Math.floor(2 ** 32 * seeds());
  uniform = uniformSource(seed);
  const goal = uniform();
  observation = maze.reset(goal);
  network.reset();
  Object.assign(twin, { observation: twin.maze.reset(goal), path: [], score: 0 });
  twin.network.reset();
  path = [];
  modulation = [];
  rewardSteps = [];
  score = 0;
  operated = network.frozen || network.forced !== null;
}

function moveTwin(choice, teleport) {
  const { logits } = twin.network.step(twin.observation);
  const from = twin.maze.agent;
  const { observation: sensed, reward, landed } = twin.maze.step(sampleAction(logits, choice), teleport);
  twin.observation = sensed;
  twin.score += reward;
  twin.path.push({ from, to: landed, time: twin.maze.time - 1 });
}

function act(twinToo = true) {
  const { logits } = network.step(observation);
  const before = maze.agent;
  const [choice, teleport] = [uniform(), uniform()];
  if (twinToo) moveTwin(choice, teleport);
  const outcome = maze.step(sampleAction(logits, choice), teleport);
  observation = outcome.observation;
  score += outcome.reward;
  path.push({ from: before, to: outcome.landed, time: maze.time - 1 });
  if (network.modulation !== null) modulation.push(network.modulation);
  if (outcome.found) rewardSteps.push(maze.time);
  if (maze.done) (operated ? tally.operated : network.traces ? tally.with : tally.without).push(score);
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
  for (const step of rewardSteps) {
    context.beginPath();
    context.moveTo(x(step), 4);
    context.lineTo(x(step), high - 4);
    context.stroke();
  }
  context.setLineDash([]);
  context.strokeStyle = themeColor("signal");
  context.lineWidth = 2;
  context.beginPath();
  modulation.forEach((value, k) => context.lineTo(x(k + 1), y(value)));
  context.stroke();
  const now = modulation.length ? modulation[modulation.length - 1].toFixed(2) : "0";
  canvas.setAttribute("aria-label", `Modulation M(t) over the episode, from -1 to 1; now ${now}, after ${rewardSteps.length} rewards.`);
}

function summary(rewards) {
  if (!rewards.length) return "no whole episode yet";
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
  return `mean reward ${mean.toFixed(1)} in ${rewards.length} episode${rewards.length > 1 ? "s" : ""}`;
}

function draw() {
  drawMaze(element("maze"), fittingWidth(300), maze, path);
  element("maze").setAttribute(
    "aria-label",
    `The maze from above. The agent is at row ${maze.agent[0]}, column ${maze.agent[1]}, the goal at row ${maze.goal[0]}, column ${maze.goal[1]}.`,
  );
  drawMaze(element("twin"), fittingWidth(300), twin.maze, twin.path);
  element("twin").setAttribute("aria-label", `The same agent left alone, at row ${twin.maze.agent[0]}, column ${twin.maze.agent[1]}.`);
  element("twin-score").textContent = twin.score;
  if (network.hebb !== null) {
    element("hebb-size").textContent = drawTrace(element("hebb"), fittingWidth(300), network.hebb, network.hiddenSize, data.hebbLimit);
  }
  if (network.modulated) drawModulation();
  element("time").textContent = `${maze.time} / ${maze.episodeLength}`;
  element("score").textContent = score;
  const gaps = rewardSteps.map((step, k) => step - (k ? rewardSteps[k - 1] : 0));
  element("gaps").textContent = gaps.length ? gaps.join(", ") : "none yet";
  element("with").textContent = summary(tally.with);
  element("without").textContent = summary(tally.without);
  element("operated").textContent = summary(tally.operated);
  element("step").disabled = maze.done;
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
  if (maze.done) begin();
  element("play").textContent = "Pause";
  timer = setInterval(() => {
    act();
    if (maze.done && byItself) {
      clearInterval(timer);
      timer = setTimeout(play, PAUSE);
    } else if (maze.done) halt();
    draw();
  }, 1000 / Number(element("speed").value));
}

element("play").addEventListener("click", () => {
  if (timer === null) play();
  else pause();
});
element("step").addEventListener("click", () => {
  pause();
  if (!maze.done) act();
  draw();
});
element("new").addEventListener("click", () => {
  pause();
  begin();
  draw();
});
element("speed").addEventListener("change", () => {
  if (timer === null) return;
  halt();
  play();
});
element("many").addEventListener("click", () => {
  pause();
  for (let episode = 0; episode < EPISODES; episode++) {
    begin();
    while (!maze.done) act(episode === EPISODES - 1); // only the last one is seen
  }
  draw();
});
element("again").addEventListener("click", () => {
  pause();
  begin(true);
  draw();
});
// A lever takes hold of the episode on its way, or of the next one.
function operate(lever) {
  lever();
  if (!maze.done) operated = maze.time > 0 || network.frozen || network.forced !== null;
  draw();
}
element("traces").addEventListener("change", ({ target }) => operate(() => { network.traces = target.checked; }));
element("frozen").addEventListener("change", ({ target }) => operate(() => { network.frozen = target.checked; }));
element("forced").addEventListener("change", ({ target }) => operate(() => {
  network.forced = target.value === "" ? null : Number(target.value);
}));
element("wipe-h").addEventListener("click", () => operate(() => {
  network.state.h.fill(0);
  if (network.state.cell !== null) network.state.cell.fill(0);
}));
element("wipe-hebb").addEventListener("click", () => operate(() => {
  network.hebb.fill(0);
  if (network.eligibility !== null) network.eligibility.fill(0);
}));
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
      if (document.documentElement.dataset.motion !== "any" || timer !== null || maze.time > 0) return;
      byItself = true;
      play();
    },
    { once: true },
  );
}
