"use strict";
// Which network lives in the figure: its reader chooses one of several, and the same episode is lived again by that
// one. What it has not is put at rest, and the figure says so. Goes with agent.js, which calls it.

const names = () => networks.all.map(({ name }) => name);
let each = null; // where the reader was when "Run 20 episodes of each" began

// Another network, in the same episode; `what` says in which, up to which step and with which deeds.
function become(index, what = lab) {
  networks.index = index;
  const { settings, parameters } = networks.now;
  try {
    lab.become(settings, parameters, what);
  } finally {
    network = subject.network;
  }
}

function choose(index) {
  byItself = false;
  if (lab.done) halt();
  endMany();
  if (hand.what !== null) letGo("");
  try {
    become(index);
    say(`${networks.now.name}: the same episode, up to step ${lab.time}.`);
  } catch (error) { // a hand cannot put the goal where this one stands
    lab.begin(lab.seed);
    say(`${networks.now.name}: the same episode from its first step, since ${error.message}.`);
  }
  countEpisode();
  draw();
}

// The same episodes for every network, one network after the other; with deeds, they are done in each of them.
function runEach(deeds = null) {
  const busy = each !== null;
  pause();
  if (hand.what !== null) letGo("");
  draw();
  if (busy) return;
  const chosen = Array.from({ length: EPISODES }, freshSeed);
  const levers = deeds === null ? lab.levers : {};
  const next = (ran) => {
    const seed = chosen[ran % EPISODES];
    if (ran % EPISODES === 0) become(ran / EPISODES, { seed, deeds: [], time: 0 });
    lab.begin(seed, levers);
  };
  const button = element(deeds === null ? "each" : "repeat");
  each = { index: networks.index, seed: lab.seed, deeds: lab.deeds, time: lab.time };
  afterMany = () => {
    become(each.index, each);
    each = null;
    tellRuns();
  };
  button.textContent = "Stop";
  next(0);
  runMany(EPISODES * networks.all.length, next, deeds ?? []);
}

function tellRuns() {
  element("each").textContent = `Run ${EPISODES} episodes of each`;
  element("repeat").textContent = repeatWords();
}

// What the reader chooses with, a slider over networks in an order, such as ages, or a group of radio buttons, and
// the table of all of them.
function fill() {
  element("each").hidden = networks.all.length < 2;
  tellRuns();
  element("choice").replaceChildren(
    ...networks.all.map(({ name }, index) => {
      const [label, radio] = [document.createElement("label"), document.createElement("input")];
      Object.assign(radio, { type: "radio", name: "choice", value: index });
      radio.addEventListener("change", () => choose(index));
      label.append(radio, ` ${name}`);
      return label;
    }),
  );
  element("compared-rows").replaceChildren(
    ...names().map((name) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      row.append(head, ...[0, 1, 2, 3].map(() => document.createElement("td")));
      return row;
    }),
  );
}

function beginChoice() {
  tellRuns();
  const several = networks.all.length > 1 || data.receives;
  for (const id of ["choosing", "compared"]) element(id).hidden = !several;
  if (!several) return;
  element("choosing-legend").textContent = data.legend;
  element("choice").hidden = data.slider;
  element("choice-slide").hidden = !data.slider;
  if (data.slider) listSlider("choice-slider", names(), networks.now.name, ({ target }) => choose(Number(target.value)));
  fill();
}

// "152 ± 12 (20)": mean reward, its standard error, and of how many episodes.
function shortSummary(rewards) {
  if (!rewards.length) return "none yet";
  const { count, mean, error } = meanAndError(rewards);
  return count === 1 ? `${fixed(mean, 0)} (1)` : `${fixed(mean, 0)} ± ${fixed(error, 0)} (${count})`;
}

// Controls of what the chosen network has not rest; what only shows it goes away.
function restControls() {
  document.querySelectorAll("[data-needs]").forEach((node) => {
    const part = node.dataset.needs;
    if (part === "ideal") return;
    const has = networks.has(part);
    const control = node.matches("button, option") ? node : node.querySelector("input, select");
    node.hidden = control === null ? !has : !networks.anyHas(part);
    if (control === null) return;
    control.disabled = !has || (control.matches("button") && control.disabled);
    if (has) control.removeAttribute("aria-describedby");
    else control.setAttribute("aria-describedby", "lacks");
  });
  if (!networks.has("traces")) element("gift").value = "h";
  element("lacks").textContent = lackWords(networks);
  element("lacks").hidden = element("lacks").textContent === "";
}

function drawChoice() {
  restControls();
  if (element("choosing").hidden) return;
  element("choice").querySelectorAll("input").forEach((radio, index) => { radio.checked = index === networks.index; });
  if (data.slider) {
    element("choice-slider").value = networks.index;
    tellSlider("choice-slider", names());
  }
  [...element("compared-rows").rows].forEach((row, index) => {
    const entry = networks.all[index];
    const { tally, settings } = entry;
    row.classList.toggle("chosen", index === networks.index);
    row.cells[1].textContent = shortSummary([...tally.with.values()]);
    row.cells[2].textContent = settings.plasticity === "none" ? "has none" : shortSummary([...tally.without.values()]);
    row.cells[3].textContent = shortSummary(operatedRewards(entry));
    row.cells[4].textContent = tally.with.size ? idealShare(meanAndError([...tally.with.values()]).mean) : "none yet";
    row.cells[4].hidden = data.ideal === null;
  });
}

// The page hands on a network that a learner on it sent.
addEventListener("message", ({ source, data: message }) => {
  if (source !== parent || !data.receives || !message || !message.bpaNetwork) return;
  try {
    const index = networks.add(readArrival(message.bpaNetwork, data.maze));
    fill();
    choose(index);
    parent.postMessage({ bpaArrived: "" }, "*");
  } catch (error) {
    parent.postMessage({ bpaArrived: error.message.slice(0, 200) }, "*");
  }
});
