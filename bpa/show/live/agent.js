"use strict";
// A trained network lives in the page: it senses, acts and rewires itself, step by step. Its reader operates on it.

const data = JSON.parse(document.getElementById("data").textContent);
const networks = new Networks(data.networks, data.chosen);
const lab = new Laboratory(data.maze, networks.now.settings, networks.now.parameters);
const { subject } = lab;
const { maze } = subject;
let { network } = subject; // the chosen one
const seeds = uniformSource(data.seed);
const element = (id) => document.getElementById(id);
const EPISODES = 20; // what the button "Run 20 episodes" runs
const SLICE = 20; // milliseconds of episodes at once, so that the page answers in between
const PAUSE = 2000; // milliseconds between two episodes of a figure that plays by itself
let timer = null;
let byItself = false;
// What the reader carries to another cell, the goal or the agent; over which free cell it is; the button that gave
// it; whether the next press puts it down, wherever it is.
const hand = { what: null, index: 0, giver: null, pressed: false };

function say(words) {
  if (element("message").textContent !== words) element("message").textContent = words; // read aloud once
}

const freshSeed = () => Math.floor(2 ** 32 * seeds());

function begin(seed = freshSeed()) {
  lab.begin(seed, lab.levers);
}

function act() {
  const { found } = lab.step();
  if (found && slices === null && subject.sought?.found === maze.time) say(`The goal is ${foundWords(subject.sought)}.`);
  countEpisode();
}

// A whole episode counts for the network that lived it.
function countEpisode() {
  if (lab.done) networks.now.tally[lab.kind].set(JSON.stringify([lab.seed, lab.felt]), subject.score);
}

function drawModulation() {
  const { modulation, rewardSteps } = subject;
  const points = modulation.map((value, k) => [k + 1, value]);
  const steps = maze.episodeLength;
  drawTimeline(element("modulation"), { low: -1, high: 1, ticks: [-1, 0, 1], points, rewardSteps, deedSteps: deedSteps(), steps });
  const now = modulation.length ? fixed(modulation.at(-1), 2) : "0";
  element("modulation").setAttribute("aria-label", `Modulation M(t) over the episode, from -1 to 1; now ${now}, after ${rewardCount(rewardSteps)}.`);
}

const deedSteps = () => lab.felt.map(([step]) => step);

// What it is about to do, as probabilities, and what it expects; null at the end of its episode.
function nextStep() {
  if (lab.done) return null;
  const { logits, value } = foresee(network, subject.observation);
  return { policy: softmax(logits), value };
}

const POLICY_WORDS = "Its policy: how likely each action is to be the next. The bars at the agent say the same.";
const POLICY_OVER = "Its policy: the episode is over, so no action comes next. Step back to see the last one.";

// Policy and value, and what could be known: beside the maze, where the reader has asked for it.
function drawMind(next) {
  tellPolicy(element("policy"), next && next.policy);
  element("value").textContent = drawValue(element("values"), subject, next && next.value, deedSteps());
  element("policy-words").textContent = next === null ? POLICY_OVER : POLICY_WORDS;
  const { places, goals, count } = subject.ideal;
  element("knows").textContent = `its own place: ${places.length} of ${count} cells; its goal: ${goals.length} of ${count} cells`;
}

// Against what the ideal agent expects of an episode.
const idealShare = (mean) => `${fixed((100 * mean) / data.ideal, 0)} %`;

function summary(rewards) {
  if (!rewards.length) return "no whole episode yet";
  const { count, mean, error } = meanAndError(rewards);
  const share = data.ideal === null ? "" : `, ${idealShare(mean)} of the ideal agent's`;
  if (count === 1) return `reward ${fixed(mean, 1)} in 1 episode${share}`;
  return `mean reward ${fixed(mean, 1)} ± ${fixed(error, 1)} in ${count} episodes${share}`;
}

function foundWords({ since, found }) {
  return found === null ? "not found yet" : `found after ${found - since} steps`;
}

function foreignWords() {
  if (subject.foreign === null) return "none";
  const { goal, since, visits } = subject.foreign;
  return `at step ${since}; went to the giver's goal, ${cellWords(goal)}, ${counted(visits, "time")} since`;
}

const cellWords = ([row, column]) => `row ${row}, column ${column}`;

// Where a decoder reads the goal in an agent, from its first step on; null where there is none.
function belief(life) {
  const { decoder } = networks.now;
  return decoder === null || life.maze.time === 0 ? null : readGoal(decoder, life.network);
}

function drawLife(id, life, words, over = () => {}) {
  drawMaze(element(id), fittingWidth(300), life.maze, life.path, (context, side) => {
    const thought = belief(life);
    if (thought !== null && element("belief").checked) drawBelief(context, side, thought);
    over(context, side);
  });
  element(id).setAttribute("aria-label", `${words} at ${cellWords(life.maze.agent)}, the goal at ${cellWords(life.maze.goal)}.`);
}

function draw() {
  const next = element("mind").open ? nextStep() : null;
  drawLife("maze", subject, "The maze from above. The agent is", (context, side) => {
    if (element("mind").open && element("known").checked) drawKnowledge(context, side, maze.freeCells, subject.ideal);
    if (next !== null) drawPolicy(context, side, maze.agent, next.policy);
    if (subject.foreign !== null) drawForeignGoal(context, side, subject.foreign.goal);
    if (hand.what !== null) drawHand(context, side, hand.what, maze.freeCells[hand.index]);
  });
  if (element("laboratory").open) {
    const twin = lab.leftAlone(); // it lives only where it is seen
    drawLife("twin", twin, "The same agent left alone. It is");
    element("twin-score").textContent = twin.score;
  }
  if (network.hebb !== null) {
    element("hebb-size").textContent = drawTrace(element("hebb"), fittingWidth(300), network.hebb, network.hiddenSize, Math.min(network.clip, 2)); // both ends of the colours
  }
  if (network.modulated) drawModulation();
  if (element("mind").open) drawMind(next);
  element("time").textContent = `${maze.time} / ${maze.episodeLength}`;
  element("score").textContent = subject.score;
  const gaps = subject.rewardSteps.map((step, k, steps) => step - (k ? steps[k - 1] : 0));
  element("gaps").textContent = gaps.length ? gaps.join(", ") : "none yet";
  for (const id of ["with", "without"]) element(id).textContent = summary([...networks.now.tally[id].values()]);
  drawDeeds();
  const { sought } = subject;
  element("sought").textContent = sought === null ? "no" : `at step ${sought.since}; ${foundWords(sought)}`;
  const thought = belief(subject);
  element("thought").textContent = thought === null ? "nowhere yet" : `${cellWords(thought.map((place) => fixed(place, 1)))}; ${distance(thought, maze.goal).toFixed(1)} cells from the goal`;
  element("foreign").textContent = foreignWords();
  for (const id of ["step", "give", "move-goal", "move-agent", "wipe-h", "wipe-hebb"]) element(id).disabled = lab.done;
  element("back").disabled = lab.time === 0;
  drawChoice();
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
  endMany();
  halt();
}

// Many episodes, a slice of time after the other; the last one is seen.
let slices = null;
let afterMany = () => {};

function endMany() {
  clearTimeout(slices);
  slices = null;
  element("many").textContent = `Run ${EPISODES} episodes`;
  const after = afterMany;
  afterMany = () => {};
  after();
}

// The first has begun; `next` begins the one of that number. The deeds are done at their steps in each of them.
function runMany(count = EPISODES, next = () => begin(), deeds = [], ran = 0) {
  const until = performance.now() + SLICE;
  do {
    try {
      lab.follow(deeds);
    } catch { // a hand cannot put the goal where the agent stands: another episode
      lab.begin(freshSeed());
      continue;
    }
    act();
    if (lab.done && ++ran < count) next(ran);
  } while (ran < count && performance.now() < until);
  if (ran < count) {
    say(`${ran} of ${count} episodes.`);
    slices = setTimeout(runMany, 0, count, next, deeds, ran);
    return;
  }
  endMany();
  say(`${count} episodes.`);
  draw();
}

function play() {
  endMany();
  if (lab.done) begin();
  element("play").textContent = "Pause";
  timer = setInterval(() => {
    if (hand.what !== null) return; // time stands still
    act();
    if (lab.done && byItself) {
      clearInterval(timer);
      timer = setTimeout(play, PAUSE);
    } else if (lab.done) halt();
    draw();
  }, 1000 / Number(element("speed").value));
}

const NAMES = { goal: "The goal", agent: "The agent" };

function carry(what, giver = null) {
  Object.assign(hand, { what, index: maze.indexOf(maze[what]), giver, pressed: giver !== null });
  element("maze").setAttribute("role", "application"); // the arrow keys are for the maze
  element("maze").focus({ preventScroll: true });
  say(`${NAMES[what]} goes with you. Choose a free cell: press on it, or use the arrow keys and Enter; Escape leaves it where it is.`);
  draw();
}

function letGo(words) {
  if (document.activeElement === element("maze")) hand.giver?.focus({ preventScroll: true });
  hand.what = null;
  element("maze").setAttribute("role", "img");
  say(words);
  draw();
}

function putDown() {
  const { what, index } = hand;
  if (index === maze.indexOf(maze[what])) letGo(`${NAMES[what]} stays where it is.`);
  else if (!maze.mayPut(what, index)) say(`${what === "goal" ? "The agent stands" : "The goal is"} there. Choose another cell.`);
  else {
    lab.do(what, index);
    letGo(`${NAMES[what]} is at ${cellWords(maze[what])}, from step ${lab.time} on.`);
  }
}

// A place on the canvas, in cells: the middle of the cell [row, column] is at [row, column].
function placeOf({ clientX, clientY }) {
  const box = element("maze").getBoundingClientRect();
  return [(clientY - box.top) / box.height, (clientX - box.left) / box.width].map((share) => share * maze.size - 0.5);
}

const distance = ([row, column], [otherRow, otherColumn]) => Math.hypot(row - otherRow, column - otherColumn);

// What a finger or the mouse can take there: the nearer of goal and agent, if it is near.
function reachable(place) {
  if (lab.done) return null;
  const near = Math.max(0.7, (22 / element("maze").getBoundingClientRect().width) * maze.size);
  const [what] = ["goal", "agent"].sort((one, other) => distance(maze[one], place) - distance(maze[other], place));
  return distance(maze[what], place) <= near ? what : null;
}

function nearestFree(place) {
  const far = maze.freeCells.map((cell) => distance(cell, place));
  return far.indexOf(Math.min(...far));
}

const ARROWS = { ArrowUp: MOVES[0], ArrowDown: MOVES[1], ArrowLeft: MOVES[2], ArrowRight: MOVES[3] };
element("maze").addEventListener("keydown", (event) => {
  if (hand.what === null) return;
  if (event.key === "Enter" || event.key === " ") putDown();
  else if (event.key === "Escape") letGo(`${NAMES[hand.what]} stays where it is.`);
  else if (event.key in ARROWS) {
    let [row, column] = maze.freeCells[hand.index];
    do { // over a wall to the next free cell
      row += ARROWS[event.key][0];
      column += ARROWS[event.key][1];
    } while (row > 0 && column > 0 && row < maze.size && column < maze.size && maze.walls[row][column]);
    const index = maze.indexOf([row, column]);
    if (index >= 0) hand.index = index;
    say(`Over ${cellWords(maze.freeCells[hand.index])}.`);
    draw();
  } else return;
  event.preventDefault(); // the page must not scroll
});
let dragging = false;
element("maze").addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  const place = placeOf(event);
  if (hand.what === null) {
    const what = reachable(place);
    if (what === null) return;
    carry(what);
  } else {
    hand.index = nearestFree(place);
    draw();
  }
  event.preventDefault(); // else the press would take the focus away again
  dragging = true;
  event.target.setPointerCapture(event.pointerId);
});
element("maze").addEventListener("pointermove", (event) => {
  if (!dragging) {
    event.target.style.cursor = hand.what !== null || reachable(placeOf(event)) !== null ? "grab" : "";
    return;
  }
  hand.index = nearestFree(placeOf(event));
  draw();
});
// What was pressed but not dragged stays in the hand, until a cell is pressed.
element("maze").addEventListener("pointerup", () => {
  if (!dragging) return;
  dragging = false;
  if (hand.index !== maze.indexOf(maze[hand.what]) || hand.pressed) putDown();
  hand.pressed = true;
});
element("maze").addEventListener("pointercancel", () => { dragging = false; });
// A finger that takes something does not scroll the page.
element("maze").addEventListener("touchstart", (event) => {
  if (hand.what !== null || reachable(placeOf(event.touches[0])) !== null) event.preventDefault();
}, { passive: false });

// A button that ends the playing, does something, and shows it.
function onPress(id, what) {
  element(id).addEventListener("click", () => {
    pause();
    if (hand.what !== null) letGo("");
    what();
    draw();
  });
}

element("play").addEventListener("click", () => {
  if (hand.what !== null) letGo("");
  if (timer === null) play();
  else pause();
});
element("speed").addEventListener("change", () => {
  if (timer === null) return;
  halt();
  play();
});
for (const what of ["goal", "agent"]) onPress(`move-${what}`, () => carry(what, element(`move-${what}`)));
onPress("step", () => { if (!lab.done) act(); });
onPress("back", () => lab.goTo(lab.time - 1));
onPress("new", () => begin());
onPress("again", () => begin(lab.seed));
element("each").addEventListener("click", () => runEach());
element("repeat").addEventListener("click", () => runEach(lab.deeds));
element("many").addEventListener("click", () => {
  const busy = slices !== null && each === null;
  pause();
  if (hand.what !== null) letGo("");
  if (!busy) {
    begin();
    element("many").textContent = "Stop";
    runMany();
  } else draw();
});
// A deed is done to the episode on its way; a lever stays where it is in those that follow.
function operate(name, value) {
  if (each !== null) endMany();
  lab.do(name, value);
  draw();
}
for (const id of ["traces", "frozen"]) element(id).addEventListener("change", ({ target }) => operate(id, target.checked));
element("forced").addEventListener("change", ({ target }) => operate("forced", target.value === "" ? null : Number(target.value)));
for (const what of ["h", "hebb"]) element(`wipe-${what}`).addEventListener("click", () => operate("wipe", what));
element("give").addEventListener("click", () => {
  const [gift, giver] = ["gift", "giver"].map((id) => element(id));
  operate("give", `${gift.value} ${giver.value}`);
  const goal = cellWords(subject.foreign.goal);
  say(`It has ${gift.selectedOptions[0].text} of ${giver.selectedOptions[0].text}, whose goal is at ${goal}: the pale star.`);
});
// The page around it may put the link into its own address; elsewhere it stands here alone.
onPress("link", () => {
  if (networks.now.arrived) {
    say("No link can hold this network: it was trained in this page.");
    return;
  }
  const link = writeLink(lab, networks.index);
  element("address").hidden = false;
  element("address").value = `#${document.documentElement.dataset.name}:${link}`;
  parent.postMessage({ bpaLink: link }, "*");
  element("address").select();
  say("A link to this moment, to be copied: the episode, the step and all that was done.");
});
addEventListener("message", (event) => {
  if (event.source !== parent || !event.data || typeof event.data.bpaAddress !== "string") return;
  element("address").value = event.data.bpaAddress;
  element("address").select();
});
// Live the moment of a link that the page hands on.
addEventListener("settings", ({ detail }) => {
  const told = readLink(detail, maze.episodeLength, maze.freeCells.length, networks.lasting);
  pause();
  if (hand.what !== null) letGo("");
  try {
    if (told === null) throw new Error("it is none of this figure's");
    become(told.network, told);
    countEpisode();
    element("laboratory").open = told.deeds.length > 0 || element("laboratory").open;
    say(`Step ${lab.time} of the episode in the link.`);
  } catch (error) {
    begin();
    say(`The link does not work here: ${error.message}.`);
  }
  draw();
});
element("laboratory").addEventListener("toggle", ({ target }) => {
  element("beside").hidden = !target.open;
  draw();
});
document.querySelectorAll('[data-needs="ideal"]').forEach((node) => { node.hidden = data.ideal === null; });
makePolicyRows(element("policy"));
element("mind").addEventListener("toggle", draw);
for (const id of ["belief", "known"]) element(id).addEventListener("change", draw);
element("ideal").textContent = `expects ${data.ideal?.toFixed(1)} an episode, the best that we know of with these senses; by chance a few episodes bring more`;
addEventListener("themechange", draw);
addEventListener("resize", draw);
beginChoice();
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
