"use strict";
// Pictures of what an agent is about to do and expects, and of what could be known where it is.

const ACTION_NAMES = ["up", "down", "left", "right"];

// Action logits and value of the step that a network would make with these senses; it stays as it is.
function foresee(network, x) {
  const { hebb, eligibility } = network.state;
  network.aside ??= { ...network.emptyState(), hebb, eligibility };
  const { frozen } = network;
  network.frozen = true; // what the traces would become has no say in this step
  network.advance(x, network.state, network.aside);
  network.frozen = frozen;
  return network.heads(network.aside);
}

// A line over an episode of so many steps. points: [[step, value]]; ticks: values that get a line and their number;
// the steps of rewards are dotted, those at which the reader did something a bar.
function drawTimeline(canvas, { low, high, ticks, points, rewardSteps, deedSteps, steps }) {
  const [across, tall] = [fittingWidth(620), 120];
  const context = prepared(canvas, across, tall);
  const x = (step) => (step / steps) * (across - 34) + 30;
  const y = (value) => tall - 10 - ((value - low) / (high - low)) * (tall - 20);
  const line = (from, to) => {
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  };
  context.fillStyle = themeColor("faint");
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  context.strokeStyle = themeColor("line");
  context.lineWidth = 1;
  for (const value of ticks) {
    context.fillText(value, 24, y(value) + 4);
    line([30, y(value)], [across - 4, y(value)]);
  }
  context.setLineDash([3, 3]);
  context.strokeStyle = themeColor("mark");
  context.lineWidth = 1.5;
  for (const step of rewardSteps) line([x(step), 4], [x(step), tall - 4]);
  context.setLineDash([]);
  context.strokeStyle = themeColor("ink");
  context.lineWidth = 3;
  for (const step of deedSteps) line([x(step), 0], [x(step), tall]);
  context.strokeStyle = themeColor("signal");
  context.lineWidth = 2;
  context.beginPath();
  for (const [step, value] of points) context.lineTo(x(step), y(value));
  context.stroke();
}

// 0 and round numbers up to `high` and down to `low`, five at the most on a side.
function roundTicks(low, high) {
  const rough = Math.max(high, -low) / 5;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const apart = ten * [1, 2, 5, 10].find((factor) => ten * factor >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / apart); k <= Math.floor(high / apart); k++) ticks.push(Number((k * apart).toPrecision(6)));
  return ticks;
}

// A bar for each action, from the agent in its direction; one of probability 1 is as long as a cell.
function drawPolicy(context, side, [row, column], policy) {
  context.fillStyle = themeColor("outline");
  context.strokeStyle = themeColor("floor");
  context.lineWidth = 2;
  policy.forEach((probability, action) => {
    if (probability < 0.005) return;
    const [down, right] = MOVES[action];
    const [near, far, half] = [0.36 * side, (0.36 + probability) * side, 0.13 * side];
    const [x, y] = [(column + 0.5) * side, (row + 0.5) * side];
    context.beginPath();
    for (const [along, beside] of [[near, -half], [far, -half], [far, half], [near, half]]) {
      context.lineTo(x + right * along + down * beside, y + down * along + right * beside);
    }
    context.closePath();
    context.stroke();
    context.fill();
  });
}

// The cells in which the ideal agent could be, framed, and a diamond in those in which its goal could be.
function drawKnowledge(context, side, cells, { places, goals }) {
  context.lineWidth = 2;
  context.strokeStyle = themeColor("agent");
  for (const [row, column] of places.map((place) => cells[place])) {
    context.strokeRect(column * side + 2, row * side + 2, side - 4, side - 4);
  }
  context.fillStyle = themeColor("goal");
  for (const [row, column] of goals.map((goal) => cells[goal])) {
    const [x, y, reach] = [(column + 0.5) * side, (row + 0.5) * side, 0.13 * side];
    context.beginPath();
    for (const [right, down] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) context.lineTo(x + right * reach, y + down * reach);
    context.closePath();
    context.fill();
  }
}

// A row for each action, with its name, a bar and the number.
function makePolicyRows(body) {
  ACTION_NAMES.forEach((name, action) => {
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    row.insertCell().id = `policy-${action}`;
    const bar = document.createElement("div");
    row.insertCell().append(bar);
    row.lastChild.className = "bar";
  });
}

// policy: null if there is no next step.
function tellPolicy(body, policy) {
  ACTION_NAMES.forEach((_, action) => {
    const [, number, bar] = body.rows[action].cells;
    number.textContent = policy === null ? "–" : `${fixed(100 * policy[action], 0)} %`;
    bar.firstChild.style.width = `${policy === null ? 0 : 100 * policy[action]}%`;
  });
}

const rewardCount = ({ length }) => counted(length, "reward");

// What the critic expected at each step of a life, and expects now.
function drawValue(canvas, { values, rewardSteps, maze }, now, deedSteps) {
  const points = [...values, ...(now === null ? [] : [now])].map((value, step) => [step, value]);
  const all = points.map(([, value]) => value);
  const [low, high] = [Math.min(0, ...all), Math.max(maze.reward, ...all)];
  drawTimeline(canvas, { low, high, ticks: roundTicks(low, high), points, rewardSteps, deedSteps, steps: maze.episodeLength });
  const last = fixed(all.at(-1), 1);
  canvas.setAttribute(
    "aria-label",
    `The critic's value over the episode, so far from ${fixed(Math.min(...all), 1)} to ${fixed(Math.max(...all), 1)}; now ${last}, after ${rewardCount(rewardSteps)}.`,
  );
  return last;
}
