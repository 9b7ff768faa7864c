"use strict";
// An agent is trained in the page, in a worker beside it; the page shows the curve and lets the agent walk.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const TEST = { episodes: 100, seed: 2 ** 31 }; // no training begins with this seed
const WINDOW = 50; // batches in the mean
const STEP = 50; // milliseconds between two steps of the agent that walks
const ANSWER = 2000; // milliseconds that the laboratory may take
const LOOK = 1500; // milliseconds between two whole episodes, where it does not walk
const WORKER = ["numbers.js", "maze.js", "network.js", "learn.js", "trainer.js"];
const maze = new GridMaze(data.maze);
let variant, seed, parameters, rewards, means, iteration, tested; // of the training
let earlier = null; // the training before: its label, its means, and its test in words or null
let number = 0; // of trainings begun
let running = false; // what the reader wants, until the last iteration
let reported; // what the trainer last said of it
let walker, uniform, observation, path, score, age, timer = null, looked = 0; // of the agent that walks

// Takes messages to a trainer in a worker, made from the sources of this page; in the page itself, which then
// learns a batch at a time, where there can be none.
function startTrainer() {
  const sources = WORKER.map((name) => document.querySelector(`script[data-source="${name}"]`).textContent);
  sources.push("const trainer = new Trainer((message) => postMessage(message)); onmessage = ({ data }) => trainer.receive(data);");
  try {
    const worker = new Worker(URL.createObjectURL(new Blob([sources.join("\n")], { type: "text/javascript" })));
    worker.onmessage = ({ data: message }) => hear(message);
    worker.onerror = () => { // it may be refused only now
      send = trainHere();
      begin();
    };
    return (message) => worker.postMessage(message);
  } catch {
    return trainHere();
  }
}

function trainHere() {
  const trainer = new Trainer(hear);
  return (message) => trainer.receive(message);
}

function say(words) {
  element("message").textContent = words;
}

const rounded = (number) => fixed(number, number < 100 ? 1 : 0);

// Of the last batches, at every iteration.
function remember(reward) {
  rewards.push(reward);
  const last = rewards.slice(-WINDOW);
  means.push(last.reduce((a, b) => a + b, 0) / last.length);
}

// A training from nothing, with the settings that the reader has chosen.
function begin() {
  const chosenSeed = Number(element("seed").value);
  if (means?.length) {
    const words = [variant.label, ...(seed === chosenSeed ? [] : [`seed ${seed}`]), ...unusual()];
    earlier = { label: words.join(", "), means, tested: tested && testedWords() };
  }
  variant = data.variants[Number(element("variant").value)];
  seed = chosenSeed;
  number += 1;
  rewards = [];
  means = [];
  iteration = 0;
  running = reported = false;
  tested = null;
  parameters = null;
  document.querySelectorAll('[data-needs="traces"]').forEach((node) => { node.hidden = variant.network.plasticity === "none"; });
  const training = { ...data.training, learningRate: Number(element("rate").value), concentrationCoef: Number(element("penalty").value) };
  send({ begin: { number, network: variant.network, first: data.first, maze: data.maze, training, seed } });
  say("Random weights. Start the training.");
}

function hear(message) {
  if (message.training !== undefined && message.training !== number) return; // of one that is no more
  if (message.failed) {
    running = false;
    say(`It stopped: ${message.failed}`);
  } else if (message.tested) {
    tested = message.tested;
    say(testedWords());
  } else {
    const newborn = parameters === null;
    const stopped = reported && !message.running;
    ({ parameters, iteration, running: reported } = message);
    if (iteration >= data.training.iterations) running = false;
    message.records.forEach((record) => remember(record.reward));
    if (newborn) beginWalk();
    if (stopped && !running) say(`After ${iteration} iterations the last ${Math.min(WINDOW, rewards.length)} batches earned ${rounded(means.at(-1))} an episode.`);
    if (!element("walk").checked && performance.now() - looked > LOOK) lookAtEpisode();
  }
  draw();
}

function testedWords() {
  if (tested === null) return "not yet";
  const words = (scores) => {
    const { mean, error } = meanAndError(scores);
    return `${fixed(mean, 0)} ± ${fixed(error, 0)}`;
  };
  const silenced = "without" in tested ? `, ${words(tested.without)} with its traces silenced` : "";
  return `${words(tested.with)} an episode${silenced}, in ${tested.episodes} fresh episodes, after ${tested.iteration} iterations`;
}

function beginWalk() {
  walker = new Network(variant.network, parameters);
  walker.traces = element("traces").checked;
  age = iteration;
  observation = maze.reset(uniform());
  path = [];
  score = 0;
}

function walkStep() {
  const { logits } = walker.step(observation);
  const before = maze.agent;
  const outcome = maze.step(sampleAction(logits, uniform()), uniform());
  observation = outcome.observation;
  score += outcome.reward;
  path.push({ from: before, to: outcome.landed, time: maze.time - 1 });
}

// A whole episode at once, for readers who want no motion.
function lookAtEpisode() {
  looked = performance.now();
  beginWalk();
  while (!maze.done) walkStep();
}

function setWalking(walks) {
  clearInterval(timer);
  timer = null;
  if (!walks) return;
  timer = setInterval(() => {
    if (!walker || document.hidden || (iteration === 0 && !running)) return;
    if (maze.done) beginWalk();
    else walkStep();
    drawWalker();
  }, STEP);
}

function drawWalker() {
  drawMaze(element("maze"), fittingWidth(300), maze, path);
  element("maze").setAttribute(
    "aria-label",
    `The maze from above. The agent is at row ${maze.agent[0]}, column ${maze.agent[1]}, the goal at row ${maze.goal[0]}, column ${maze.goal[1]}.`,
  );
  element("age").textContent = age;
  element("time").textContent = `${maze.time} of ${maze.episodeLength}`;
  element("score").textContent = score;
  if (walker.hebb === null) return;
  const words = drawTrace(element("hebb"), fittingWidth(300), walker.hebb, walker.hiddenSize, data.hebbLimit);
  element("hebb-size").textContent = words;
}

function drawCurve() {
  const canvas = element("curve");
  const [across, high] = [fittingWidth(620), 240];
  const context = prepared(canvas, across, high);
  const highest = data.ideal * 1.08;
  const x = (batch) => 34 + (batch / data.training.iterations) * (across - 40);
  const y = (reward) => high - 22 - (reward / highest) * (high - 30);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = themeColor("faint");
  context.strokeStyle = themeColor("line");
  const line = (points, width, color, dash = []) => {
    context.setLineDash(dash);
    context.lineWidth = width;
    context.strokeStyle = themeColor(color);
    context.beginPath();
    points.forEach(([batch, reward]) => context.lineTo(x(batch), y(reward)));
    context.stroke();
  };
  for (let reward = 0; reward <= data.ideal; reward += 50) context.fillText(reward, 4, y(reward) + 4);
  line([[0, 0], [data.training.iterations, 0]], 1, "line");
  context.fillText("0", x(0), high - 6);
  const last = `${data.training.iterations} iterations`;
  context.fillText(last, across - 6 - context.measureText(last).width, high - 6);
  for (const [name, reward] of [["ideal agent", data.ideal], ["random walk", data.random]]) {
    line([[0, reward], [data.training.iterations, reward]], 1.5, "mark", [3, 3]);
    context.fillText(`${name} ${reward.toFixed(0)}`, across - 120, y(reward) - 4);
  }
  if (earlier) line(earlier.means.map((mean, k) => [k + 1, mean]), 2, "faint", [8, 4]);
  line(rewards.map((reward, k) => [k + 1, reward]), 0.5, "faint");
  line(means.map((mean, k) => [k + 1, mean]), 2.5, "signal");
  const now = rewards.length ? reached(means) : "nothing yet";
  canvas.setAttribute(
    "aria-label",
    `Learning curve, reward per episode: ${now}. The ideal agent has ${data.ideal.toFixed(0)}, a random walk ${data.random.toFixed(0)}.`,
  );
}

function reached(means) {
  return `${rounded(means.at(-1))} after ${means.length} iterations`;
}

function draw() {
  const done = iteration >= data.training.iterations;
  element("run").textContent = running ? "Stop" : iteration > 0 && !done ? "Go on" : "Start training";
  element("run").disabled = done || parameters === null;
  for (const id of ["test", "save", "hand"]) element(id).disabled = parameters === null;
  element("iteration").textContent = `${iteration} of ${data.training.iterations}`;
  element("episodes").textContent = iteration * data.training.batchSize;
  element("mean").textContent = rewards.length ? rounded(means.at(-1)) : "nothing yet";
  element("weights").textContent = Object.values(parameterSizes(variant.network)).reduce((a, b) => a + b, 0);
  element("tested").textContent = testedWords();
  element("earlier").textContent = earlier ? `${earlier.label}: ${reached(earlier.means)}${earlier.tested ? `; tested: ${earlier.tested}` : ""}` : "none";
  drawCurve();
  if (walker) drawWalker();
}

function save() {
  const tensors = Object.fromEntries(Object.entries(parameters).map(([name, numbers]) => [name, { shape: variant.shapes[name], numbers }]));
  const config = {
    ...data.config,
    ...variant.fields,
    learning_rate: Number(element("rate").value),
    concentration_coef: Number(element("penalty").value),
    seed: Number(element("seed").value),
  };
  const metadata = { format: data.format, network: JSON.stringify(variant.described), config: JSON.stringify(config) };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([safetensors(tensors, metadata)], { type: "application/octet-stream" }));
  link.download = `maze-${maze.size}-in-the-page.safetensors`;
  link.click();
  say(`${link.download} holds the weights of iteration ${iteration}: bpa.load reads it.`);
}

// What of the training is not as usual, in words.
function unusual() {
  const { learningRate, concentrationCoef } = data.training;
  const [rate, penalty] = ["rate", "penalty"].map((id) => Number(element(id).value));
  return [...(rate === learningRate ? [] : [`rate ${rate}`]), ...(penalty === concentrationCoef ? [] : [`penalty ${penalty}`])];
}

// What the laboratory calls this network: what it is, how old, and what of its training is not as usual.
const nameOf = () => [variant.label, `${iteration} iterations`, `seed ${seed}`, ...unusual()].join(", ");

// The page takes it to its laboratory, and brings an answer.
let unanswered = null;
function handOver() {
  say("It is on its way to the laboratory.");
  unanswered = setTimeout(say, ANSWER, "Nobody has answered: this page has no laboratory.");
  parent.postMessage({ bpaNetwork: { name: nameOf(), maze: data.maze, settings: variant.network, parameters } }, "*");
}
addEventListener("message", ({ source, data: message }) => {
  if (source !== parent || !message || typeof message.bpaArrived !== "string") return;
  clearTimeout(unanswered);
  say(message.bpaArrived === "" ? "A copy of it is in the laboratory." : `The laboratory does not take it: ${message.bpaArrived}.`);
});

function options(id, values, chosen) {
  values.forEach(([value, words]) => element(id).add(new Option(words, value)));
  element(id).value = chosen;
}

options("variant", data.variants.map(({ label }, k) => [k, label]), data.chosen);
options("rate", data.rates.map((rate) => [rate, rate]), data.training.learningRate);
options("penalty", data.penalties.map((penalty) => [penalty, penalty]), data.training.concentrationCoef);
element("seed").value = data.config.seed;
uniform = uniformSource(null);
let send = startTrainer();

element("run").addEventListener("click", () => {
  if (!running) say("It learns.");
  running = !running;
  send({ run: running });
  draw();
});
for (const [id, kind] of [["reset", "click"], ["variant", "change"]]) element(id).addEventListener(kind, begin);
element("seed").addEventListener("change", () => {
  const seed = element("seed");
  seed.value = Math.min(Math.max(Math.floor(Number(seed.value)) || 0, 0), 999);
  begin();
});
element("rate").addEventListener("change", () => send({ change: { learningRate: Number(element("rate").value) } }));
element("penalty").addEventListener("change", () => send({ change: { concentrationCoef: Number(element("penalty").value) } }));
element("test").addEventListener("click", () => {
  say(`It plays ${TEST.episodes} episodes.`);
  send({ test: TEST });
});
element("save").addEventListener("click", save);
element("hand").addEventListener("click", handOver);
element("hand").hidden = !data.laboratory;
element("walk").addEventListener("change", () => setWalking(element("walk").checked));
element("traces").addEventListener("change", () => {
  if (walker) walker.traces = element("traces").checked;
});
addEventListener("themechange", () => { if (parameters !== null) draw(); });
addEventListener("themechange", () => {
  if (document.documentElement.dataset.motion === "less") element("walk").checked = false;
  setWalking(element("walk").checked);
}, { once: true }); // the first word of the page around it
addEventListener("resize", () => { if (parameters !== null) draw(); });
setWalking(true);
begin();
