"use strict";
// An agent in an episode that its reader operates on. The episode is its noise, which goes by a seed, and a list
// of deeds: so it can be lived again up to any step.

// All noise of an episode, two numbers a step whatever the agent does.
function episodeNoise(seed, steps) {
  const uniform = uniformSource(seed);
  const noise = { goal: uniform(), action: [], teleport: [] };
  for (let step = 0; step < steps; step++) {
    noise.action.push(uniform());
    noise.teleport.push(uniform());
  }
  return noise;
}

const sameCell = (one, other) => one[0] === other[0] && one[1] === other[1];

// What the traces and the activity of an agent are, of what a network may have.
const PARTS = { hebb: ["hebb", "eligibility"], h: ["h", "cell"] };

// Whether a network with these parts has what a deed is done to.
function feels({ traces, modulator }, name, value) {
  if (name === "forced") return modulator;
  return traces || !(name === "traces" || name === "frozen" || String(value).startsWith("hebb"));
}

// What an episode with these deeds is: left alone, its traces silenced from its first step on, or anything else.
function kindOf(deeds) {
  if (!deeds.length) return "with";
  return deeds.every(([time, name]) => time === 0 && name === "traces") ? "without" : "operated";
}

// One agent in one episode, and what happened so far.
class Life {
  constructor(mazeSettings, networkSettings, parameters) {
    this.maze = new GridMaze(mazeSettings);
    this.network = new Network(networkSettings, parameters);
    this.ideal = new IdealBelief(this.maze); // of an agent that senses and does the same
  }

  begin(noise) {
    this.noise = noise;
    this.observation = this.maze.reset(noise.goal);
    this.network.reset();
    this.ideal.begin();
    Object.assign(this.network, UNTOUCHED);
    // sought: the step at which the goal was put elsewhere, and the one at which it was found there.
    // foreign: the goal of the agent that gave it traces or activity, since when, and how often it went there.
    Object.assign(this, { path: [], values: [], modulation: [], rewardSteps: [], score: 0, sought: null, foreign: null });
  }

  put(what, index) {
    this.observation = this.maze.put(what, index);
    this.ideal.told(what, this.observation);
    if (what === "goal") this.sought = { since: this.maze.time, found: null };
  }

  // Traces, or activity, of another agent of the same network.
  receive(what, giver) {
    if (!this.feels("give", what)) return;
    for (const part of PARTS[what]) this.network.state[part]?.set(giver.network.state[part]);
    this.foreign = { goal: giver.maze.goal, since: this.maze.time, visits: 0 };
  }

  // Whether its network has what a deed is done to.
  feels(name, value) {
    const { hebb, modulated } = this.network;
    return feels({ traces: hebb !== null, modulator: modulated }, name, value);
  }

  step() {
    const { maze, network, noise } = this;
    const { logits, value } = network.step(this.observation);
    this.values.push(value);
    const { time, agent: from } = maze;
    const outcome = maze.step(sampleAction(logits, noise.action[time]), noise.teleport[time]);
    this.observation = outcome.observation;
    this.ideal.sense(this.observation);
    this.score += outcome.reward;
    this.path.push({ from, to: outcome.landed, time });
    if (network.modulation !== null) this.modulation.push(network.modulation);
    if (this.foreign !== null && sameCell(outcome.landed, this.foreign.goal) && !sameCell(from, this.foreign.goal)) this.foreign.visits += 1;
    if (outcome.found) {
      this.rewardSteps.push(maze.time);
      if (this.sought !== null) this.sought.found ??= maze.time;
    }
    return outcome;
  }
}

// Levers stay where they are put, in the next episode too: what they set of a network, and where they stand at first.
const UNTOUCHED = { traces: true, frozen: false, forced: null };
const isLever = (name) => name in UNTOUCHED;

// What is done once: to an agent in its episode.
const DEEDS = {
  goal: (life, index) => life.put("goal", index),
  agent: (life, index) => life.put("agent", index),
  wipe: ({ network }, what) => PARTS[what].forEach((part) => network.state[part]?.fill(0)),
};

// What a deed can say in a link: words in place of its values.
const LINK_WORDS = {
  traces: { on: true, off: false },
  frozen: { on: true, off: false },
  forced: { own: null, 1: 1, 0: 0, m1: -1 },
  wipe: { h: "h", hebb: "hebb" },
  give: { hebbdonor: "hebb donor", hebbtwin: "hebb twin", hdonor: "h donor", htwin: "h twin" },
};
const LINK = /^(\d{1,10})-(\d{1,6})(?:-n(\d{1,2}))?((?:-\d{1,6}_[a-z]+_[a-z0-9]+)*)$/;

// A moment of an episode as a link: its seed, the step, which of the figure's networks if it is not the first, and
// each deed as time_name_value; letters, digits, hyphens and underscores alone, so that it may stand behind the # of
// an address.
function writeLink({ seed, time, deeds }, network = 0) {
  const word = ([step, name, value]) => {
    const words = LINK_WORDS[name];
    return `${step}_${name}_${words === undefined ? value : Object.keys(words).find((key) => words[key] === value)}`;
  };
  return [seed, time, ...(network ? [`n${network}`] : []), ...deeds.map(word)].join("-");
}

// { seed, time, network, deeds } of a link, for an episode of so many steps and cells and so many networks; null if
// it is none.
function readLink(text, steps, cells, networks = 1) {
  const parts = LINK.exec(text);
  if (parts === null) return null;
  const [seed, time, network] = [parts[1], parts[2], parts[3] ?? 0].map(Number);
  const deeds = parts[4].split("-").slice(1).map((deed) => {
    const [step, name, word] = deed.split("_");
    const place = (name === "goal" || name === "agent") && /^\d+$/.test(word) && Number(word) < cells;
    const known = Object.hasOwn(LINK_WORDS, name) && Object.hasOwn(LINK_WORDS[name], word);
    return place ? [Number(step), name, Number(word)] : known ? [Number(step), name, LINK_WORDS[name][word]] : null;
  });
  const inOrder = deeds.every((deed, k) => deed !== null && deed[0] <= time && (k === 0 || deeds[k - 1]?.[0] <= deed[0]));
  return seed < 2 ** 32 && time <= steps && network < networks && inOrder ? { seed, time, network, deeds } : null;
}

const DONOR_STEPS = 100; // what a donor has lived, if its episode is as long
const DONORS = 30; // episodes that are tried for one that was rewarded

// Row and column of the goal that a linear decoder, of bpa.experiments.decode, reads in the activity of an agent.
function readGoal({ weight, bias }, { h }) {
  return bias.map((first, k) => weight[k].reduce((sum, number, j) => sum + number * h[j], first));
}

class Laboratory {
  constructor(mazeSettings, networkSettings, parameters) {
    this.subject = new Life(mazeSettings, networkSettings, parameters);
    this.settings = { maze: mazeSettings, network: networkSettings };
    this.intact = null; // the same agent in the same episode, left alone: it lives when it is asked for
    this.other = null; // the last donor
  }

  newLife() {
    return new Life(this.settings.maze, this.settings.network, this.subject.network.parameters);
  }

  // Another network in place of this one, at the same step of the same episode, to which the same is done, or at
  // another moment.
  become(networkSettings, parameters, { seed, deeds, time } = this) {
    this.settings.network = networkSettings;
    this.subject.network = new Network(networkSettings, parameters);
    this.intact = this.other = null;
    this.live(seed, deeds, time);
  }

  get time() {
    return this.subject.maze.time;
  }

  get done() {
    return this.subject.maze.done;
  }

  begin(seed, levers = {}) {
    if (seed !== this.seed) this.noise = episodeNoise(seed, this.subject.maze.episodeLength);
    this.seed = seed;
    this.deeds = []; // [time, name, value], in the order in which they were done
    this.subject.begin(this.noise);
    for (const [name, value] of Object.entries(levers)) this.do(name, value);
  }

  // Where the levers stand.
  get levers() {
    return Object.fromEntries(Object.keys(UNTOUCHED).map((name) => [name, this.subject.network[name]]));
  }

  // What was done in this episode and can make a difference to the network that lives it.
  get felt() {
    return this.deeds.filter(([, name, value]) => this.subject.feels(name, value));
  }

  get kind() {
    return kindOf(this.felt);
  }

  step() {
    return this.subject.step();
  }

  // A part of another agent's state for that of the subject: "hebb" or "h", of its "twin" or of a "donor".
  give(gift) {
    const [what, whose] = gift.split(" ");
    const giver = whose === "twin" ? this.leftAlone() : this.donor();
    this.subject.receive(what, giver);
  }

  // The same agent in another episode, with another goal, which it has found; the last one tried if none was.
  donor() {
    const { goalIndex, episodeLength } = this.subject.maze;
    this.other ??= this.newLife();
    for (let k = 1; k <= DONORS; k++) {
      const life = this.other;
      life.begin(episodeNoise((this.seed + k * 0x9e3779b9) >>> 0, episodeLength));
      if (life.maze.goalIndex === goalIndex) continue;
      while (life.maze.time < Math.min(DONOR_STEPS, episodeLength)) life.step();
      if (life.rewardSteps.length) break;
    }
    return this.other;
  }

  // One deed of the reader, between two steps.
  do(name, value) {
    if (!isLever(name)) {
      if (name === "give") this.give(value);
      else DEEDS[name](this.subject, value);
      this.deeds.push([this.time, name, value]);
      return;
    }
    this.subject.network[name] = value;
    this.deeds = this.deeds.filter(([time, other]) => time !== this.time || other !== name);
    const before = this.deeds.findLast(([, other]) => other === name)?.[2] ?? UNTOUCHED[name];
    if (before !== value) this.deeds.push([this.time, name, value]);
  }

  // Of these deeds, do those that are due at this step.
  follow(deeds) {
    for (const [time, name, value] of deeds) if (time === this.time) this.do(name, value);
  }

  // Live the same episode, with the deeds until then, up to a step.
  goTo(step) {
    this.live(this.seed, this.deeds.filter(([time]) => time <= step), step);
  }

  live(seed, deeds, until) {
    this.begin(seed);
    for (const [time, name, value] of deeds) {
      while (this.time < time) this.step();
      this.do(name, value);
    }
    while (this.time < until) this.step();
  }

  // The same agent at the same step of the same episode, left alone.
  leftAlone() {
    this.intact ??= this.newLife();
    if (this.intact.noise !== this.noise || this.intact.maze.time > this.time) this.intact.begin(this.noise);
    while (this.intact.maze.time < this.time) this.intact.step();
    return this.intact;
  }
}
