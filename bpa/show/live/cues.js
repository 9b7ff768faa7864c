"use strict";
// The reader is the agent of the cue-reward task.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const seeds = uniformSource(data.seed);
const BITS = data.task.cueBits;
const ACROSS = Math.ceil(Math.sqrt(BITS)); // pixels of a cue in a row
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const PLACES = ["first", "second"];
const LATE = 7; // the last trials, which are told apart where there are more, as in Chapter 7
const OTHERS = { coin: "a tossed coin", no: "always no", perfect: "a perfect memory" };
const WHO = { coin: "knows nothing", no: "knows that no is likelier", perfect: "forgets nothing" };
let task; // a CueReward of the chosen length
let answered; // [{ action, reward }] of this episode
let lettered; // whether letters were seen in it
const tally = new Map(); // rewards of whole episodes by their kind

const score = () => answered.reduce((sum, { reward }) => sum + reward, 0);
const asLetters = () => element("look").value === "letters";
const kind = () => `${task.trials} trials, ${lettered ? "with letters" : "with bits"}`;

// A cue is called by the order in which the cues of this episode appear.
function nameOf(cue) {
  const order = [...new Set(task.pairs.flat())];
  const place = order.indexOf(cue) < 0 ? order.length + task.cues.slice(0, cue).filter((_, k) => !order.includes(k)).length : order.indexOf(cue);
  return place < LETTERS.length ? LETTERS[place] : `cue ${place + 1}`;
}

// The bits in rows: 1 light, 0 dark.
function bitWords(bits) {
  const marks = bits.map((bit) => (bit > 0 ? "1" : "0"));
  return Array.from({ length: Math.ceil(BITS / ACROSS) }, (_, row) => marks.slice(row * ACROSS, (row + 1) * ACROSS).join(" ")).join(", ");
}

function drawBits(context, width, bits) {
  const side = width / ACROSS;
  bits.forEach((bit, k) => {
    context.fillStyle = bit > 0 ? "#f5f5f5" : "#1c1c1d";
    const [left, top] = [Math.round((k % ACROSS) * side), Math.round(Math.floor(k / ACROSS) * side)];
    context.fillRect(left, top, Math.ceil(side), Math.ceil(side));
  });
  context.strokeStyle = themeColor("line");
  context.strokeRect(0.5, 0.5, width - 1, Math.ceil(BITS / ACROSS) * side - 1);
}

function drawText(context, width, high, text) {
  context.strokeStyle = themeColor("line");
  context.strokeRect(0.5, 0.5, width - 1, high - 1);
  context.fillStyle = themeColor("ink");
  context.font = `bold ${Math.round(high * 0.5)}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, width / 2, high / 2);
}

// What is on at this step, drawn; returns words for it, and for who cannot see it.
function drawSeen() {
  const width = fittingWidth(200);
  const high = Math.round((width / ACROSS) * Math.ceil(BITS / ACROSS));
  const context = prepared(element("seen"), width, high);
  const cue = task.done ? null : task.shown[task.time];
  if (cue !== null && asLetters()) {
    drawText(context, width, high, nameOf(cue));
    return [`a cue: ${nameOf(cue)}`, ""];
  }
  if (cue !== null) {
    drawBits(context, width, task.cues[cue]);
    return ["a cue", ` Its bits in rows: ${bitWords(task.cues[cue])}.`];
  }
  drawText(context, width, high, task.asks ? "?" : "");
  return [task.asks ? "Go: was the target one of the two?" : task.done ? "nothing: the episode is over" : "nothing", ""];
}

function drawChart() {
  const { earned } = data;
  const canvas = element("chart");
  const [across, high] = [fittingWidth(560), 190];
  const context = prepared(canvas, across, high);
  const totals = answered.map((_, k) => answered.slice(0, k + 1).reduce((sum, { reward }) => sum + reward, 0));
  const most = Math.max(task.trials * data.task.reward, 1e-9);
  const low = Math.min(0, ...totals, ...earned.coin.slice(0, task.trials), ...earned.no.slice(0, task.trials));
  const x = (trial) => 34 + (trial / task.trials) * (across - 44);
  const y = (value) => 10 + ((most - value) / (most - low)) * (high - 34);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = themeColor("faint");
  context.strokeStyle = themeColor("line");
  context.lineWidth = 1;
  for (const value of new Set([low, 0, most / 2, most])) {
    context.textAlign = "right";
    context.fillText(rewardWords(value), 30, y(value) + 4);
    context.globalAlpha = value === 0 ? 1 : 0.4;
    context.beginPath();
    context.moveTo(34, y(value));
    context.lineTo(across - 10, y(value));
    context.stroke();
    context.globalAlpha = 1;
  }
  context.textAlign = "center";
  for (const trial of [0, Math.round(task.trials / 2), task.trials]) context.fillText(trial, x(trial), high - 4);
  const line = (values, color, width, dash) => {
    context.strokeStyle = themeColor(color);
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    [0, ...values].forEach((value, trial) => context.lineTo(x(trial), y(value)));
    context.stroke();
    context.setLineDash([]);
  };
  line(earned.perfect.slice(0, task.trials), "signal", 2, []);
  line(earned.no.slice(0, task.trials), "faint", 2, [7, 4]);
  line(earned.coin.slice(0, task.trials), "faint", 2, [2, 4]);
  line(totals, "mark", 3, []);
  context.fillStyle = themeColor("mark");
  totals.forEach((total, k) => {
    context.beginPath();
    context.arc(x(k + 1), y(total), 4, 0, 2 * Math.PI);
    context.fill();
  });
  const count = answered.length;
  const words = Object.entries(OTHERS).map(([who, name]) => `${name} ${rewardWords(count ? earned[who][count - 1] : 0)}`);
  canvas.setAttribute("aria-label", `Score by trial. After ${count} trials you have ${rewardWords(score())}; on average ${words.join(", ")}.`);
}

// The scale: after the trials so far, or of the whole episode if none was answered or it is over.
function drawStanding() {
  const count = answered.length || task.trials;
  const rows = Object.entries(OTHERS).map(([who, name]) => ({ name, knows: WHO[who], reward: data.earned[who][count - 1] }));
  if (answered.length) rows.push({ name: task.done ? "you, in this episode" : "you, so far", reward: score(), you: true });
  const rewards = tally.get(kind()) ?? [];
  if (task.done && rewards.length > 1) rows.push({ name: `you, mean of ${rewards.length}`, knows: kind(), reward: meanAndError(rewards).mean, you: true });
  element("scale-title").textContent = count === task.trials ? `Score of a whole episode, ${task.trials} trials` : `Score after ${count} of ${task.trials} trials`;
  drawScale(element("scale"), rows, count * data.task.reward);
}

function cellOf(text) {
  const cell = document.createElement("td");
  cell.textContent = text;
  return cell;
}

// What was hidden: the cues by name, the target, and what each trial said.
function uncover() {
  const memory = perfectMemory(task.pairs, task.target, task.numCues);
  const order = task.cues.map((_, cue) => cue).sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  element("cards").replaceChildren(...order.map((cue) => {
    const card = document.createElement("figure");
    const canvas = document.createElement("canvas");
    const words = document.createElement("figcaption");
    const target = cue === task.target;
    card.className = target ? "card target" : "card";
    words.textContent = `${nameOf(cue)}${target ? " ★" : ""}`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${target ? "The target, " : ""}cue ${nameOf(cue)}, its bits in rows: ${bitWords(task.cues[cue])}`);
    card.append(canvas, words);
    drawBits(prepared(canvas, 70, Math.round((70 / ACROSS) * Math.ceil(BITS / ACROSS))), 70, task.cues[cue]);
    return card;
  }));
  element("history").replaceChildren(...task.pairs.map((pair, trial) => {
    const row = document.createElement("tr");
    const { action, reward } = answered[trial];
    const left = memory[trial].left.map(nameOf).sort().join(" ");
    row.append(cellOf(trial + 1), cellOf(pair.map(nameOf).join(" ")), cellOf(action ? "yes" : "no"), cellOf(rewardWords(reward, true)), cellOf(left));
    return row;
  }));
  const known = memory.findIndex(({ left }) => left.length === 1) + 1;
  const wrong = (from) => answered.slice(from).filter(({ action }, k) => action !== (task.pairs[from + k].includes(task.target) ? 1 : 0)).length;
  const perfect = memory.filter(({ answer }, k) => answer === (task.pairs[k].includes(task.target) ? 1 : 0)).length;
  const said = known === 0 ? "These trials did not say which cue was the target." : `After trial ${known} only one cue could be the target; from then on you were wrong ${counted(wrong(known), "time")}.`;
  const late = task.trials > LATE ? `, and ${LATE - wrong(task.trials - LATE)} of the last ${LATE}` : "";
  return `You had ${task.trials - wrong(0)} of ${task.trials} answers right${late}; a perfect memory had ${perfect} here. The target was ${nameOf(task.target)}, with the star. ${said}`;
}

function draw() {
  if (asLetters() && !task.done) lettered = true;
  const numbers = task.observation();
  const [words, more] = drawSeen();
  element("seen-words").textContent = words;
  element("seen").setAttribute("aria-label", `Shown: ${words}.${more}`);
  const trial = Math.min(Math.floor(task.time / task.trialLength) + 1, task.trials);
  element("now").textContent = `${trial} / ${task.trials}`;
  element("time").textContent = `${task.time} / ${task.episodeLength}`;
  element("previous").textContent = rewardWords(task.previousReward, true);
  element("score").textContent = rewardWords(score());
  element("bits").textContent = Array.from({ length: Math.ceil(BITS / ACROSS) }, (_, row) => numbers.slice(row * ACROSS, Math.min((row + 1) * ACROSS, BITS)).map((bit) => String(bit).padStart(2)).join(" ")).join("\n");
  element("others").textContent = numbers.slice(BITS).map((number) => (Number.isInteger(number) ? number : number.toFixed(3))).join("\n");
  // Not `disabled`: that would throw the reader's focus out of the figure.
  element("next").setAttribute("aria-disabled", task.done || task.asks);
  for (const id of ["no", "yes"]) element(id).setAttribute("aria-disabled", !task.asks);
  element("end").hidden = !task.done;
  drawChart();
  drawStanding();
}

const say = (words, unseen) => sayWords(element("message"), words, unseen);

function tell(before) {
  const [, more] = drawSeen();
  const { asks, time, trialLength, showSteps, pauseSteps } = task;
  const place = Math.floor((time % trialLength) / (showSteps + pauseSteps));
  const cue = task.shown[time];
  const now = asks ? "Go: was the target one of the two?" : cue === null ? "Nothing is shown." : `Trial ${Math.floor(time / trialLength) + 1}, ${PLACES[place]} cue${asLetters() ? `: ${nameOf(cue)}` : ""}.`;
  say(`${before}${now}`, more);
}

function act(action) {
  if (task.done) return;
  const { reward, asked } = task.step(action);
  if (asked) answered.push({ action, reward });
  const before = asked ? `You said ${action ? "yes" : "no"}: ${reward > 0 ? "right" : "wrong"}, ${rewardWords(reward, true)}. ` : "";
  if (task.done) {
    tally.set(kind(), [...(tally.get(kind()) ?? []), score()]);
    say(`${before}The episode is over: your score is ${rewardWords(score())}. ${uncover()}`);
  } else tell(before);
  draw();
}

function next() {
  if (task.asks) say("Was the target one of the two? Answer yes or no.");
  else act(0);
}

function answer(action) {
  if (task.asks) act(action);
  else if (!task.done) say("Yes and no count at Go alone. Look at the cue, then go on with Next.");
}

// A new episode, or that of a number.
function begin(number) {
  const seed = number === undefined ? Math.floor(2 ** 32 * seeds()) : Number(number);
  task = new CueReward({ ...data.task, episodeLength: Number(element("length").value) });
  task.reset(task.draw(uniformSource(seed)));
  answered = [];
  lettered = false;
  const which = number === undefined ? "" : `Episode ${number}, the same for everybody. `;
  tell(`${which}One of the cues to come is the target. `);
  draw();
}

// A link of the page: all at once, nothing if a part of it is refused.
function follow(text) {
  try {
    const { steps, cues, episode } = readSettings(text, data.settings);
    if (steps !== undefined) element("length").value = steps;
    if (cues !== undefined) element("look").value = cues;
    begin(episode);
    element("seen").focus({ preventScroll: true }); // for the keys
  } catch (error) {
    say(`This link was not followed: ${error.message}.`);
  }
}

for (const steps of data.settings.steps) element("length").add(new Option(`${Math.floor(steps / new CueReward({ ...data.task, episodeLength: Number(steps) }).trialLength)} trials, ${steps} steps`, steps));
element("count").textContent = BITS + 6;
element("next").addEventListener("click", next);
element("no").addEventListener("click", () => answer(0));
element("yes").addEventListener("click", () => answer(1));
element("again").addEventListener("click", () => {
  begin();
  element("seen").focus({ preventScroll: true });
});
element("length").addEventListener("change", () => begin());
element("look").addEventListener("change", draw);
// Keys count where the cue or its buttons have the focus, and once a press.
const KEYS = { y: () => answer(1), n: () => answer(0), ArrowRight: next };
element("trial").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const onPicture = event.target === element("seen") && (event.key === " " || event.key === "Enter");
  const deed = onPicture ? next : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!deed) return;
  event.preventDefault(); // the page must not scroll
  if (!event.repeat) deed();
});
addEventListener("settings", ({ detail }) => follow(detail));
addEventListener("themechange", () => {
  draw();
  if (task.done) uncover();
});
addEventListener("resize", draw);
begin();
