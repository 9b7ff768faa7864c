"use strict";
// The cue-reward task of bpa.envs.cue_reward.CueReward with its regular trials, one episode at a time, and what a
// player with a perfect memory makes of it. Noise comes in: what an episode shows is drawn before it begins.

const CUE_SETTINGS = { numCues: 2, cueBits: 1, episodeLength: 1, showSteps: 1, pauseSteps: 0 }; // whole numbers, at least
const CUE_REWARDS = ["reward", "wrongPenalty"];
const CUES_IN_TRIAL = 2;

// `value` if it is a whole number from `low` to below `below`, or an Error that names it.
function requireWhole(name, value, low, below = Infinity) {
  if (Number.isInteger(value) && value >= low && value < below) return value;
  const most = below === Infinity ? "" : ` and below ${below}`;
  throw new Error(`${name} must be a whole number of at least ${low}${most}, got ${JSON.stringify(value)}`);
}

class CueReward {
  // numCues, cueBits, episodeLength, showSteps, pauseSteps, reward, wrongPenalty: every one, and no other.
  constructor(settings) {
    const known = [...Object.keys(CUE_SETTINGS), ...CUE_REWARDS];
    for (const name of Object.keys(settings)) if (!known.includes(name)) throw new Error(`no setting is called ${JSON.stringify(name)}`);
    for (const [name, low] of Object.entries(CUE_SETTINGS)) this[name] = requireWhole(name, settings[name], low);
    for (const name of CUE_REWARDS) {
      if (!(Number.isFinite(settings[name]) && settings[name] >= 0)) throw new Error(`${name} must be a number of at least 0, got ${JSON.stringify(settings[name])}`);
      this[name] = settings[name];
    }
    if (this.numCues > 2 ** this.cueBits) throw new Error(`numCues must be at most ${2 ** this.cueBits}, got ${this.numCues}`);
    this.trialLength = CUES_IN_TRIAL * this.showSteps + 1 + 3 * this.pauseSteps;
    requireWhole("episodeLength", this.episodeLength, this.trialLength);
    this.trials = Math.floor(this.episodeLength / this.trialLength);
    this.time = this.episodeLength; // no episode before the first reset
  }

  // All noise of one episode, from uniform numbers in [0, 1): different cues, the target, the pair of each trial.
  draw(uniform) {
    const cues = [];
    while (cues.length < this.numCues) {
      const bits = Array.from({ length: this.cueBits }, () => (uniform() < 0.5 ? -1 : 1));
      if (!cues.some((cue) => cue.every((bit, k) => bit === bits[k]))) cues.push(bits);
    }
    const target = Math.floor(uniform() * this.numCues);
    const pairs = Array.from({ length: this.trials }, () => {
      const numbers = Array.from({ length: this.numCues }, uniform);
      return numbers.map((_, k) => k).sort((one, other) => numbers[one] - numbers[other]).slice(0, CUES_IN_TRIAL);
    });
    return { cues, target, pairs };
  }

  // Begin the episode of `noise`, as draw gives it.
  reset({ cues, target, pairs }) {
    requireWhole("the number of cues", cues.length, this.numCues, this.numCues + 1);
    for (const bits of cues) {
      if (bits.length !== this.cueBits || bits.some((bit) => bit !== 1 && bit !== -1)) throw new Error(`a cue must be ${this.cueBits} bits of 1 or -1, got ${JSON.stringify(bits)}`);
    }
    requireWhole("target", target, 0, this.numCues);
    requireWhole("the number of pairs", pairs.length, this.trials, this.trials + 1);
    for (const pair of pairs) {
      pair.forEach((cue) => requireWhole("a cue of a pair", cue, 0, this.numCues));
      if (pair.length !== CUES_IN_TRIAL || pair[0] === pair[1]) throw new Error(`a pair must be two different cues, got ${JSON.stringify(pair)}`);
    }
    Object.assign(this, { cues, target, pairs });
    this.shown = new Array(this.episodeLength).fill(null); // which cue is on at each step
    this.answers = new Array(this.episodeLength).fill(null); // the right answer at a Go step
    pairs.forEach((pair, trial) => {
      const phase = this.showSteps + this.pauseSteps;
      const start = trial * this.trialLength;
      pair.forEach((cue, place) => this.shown.fill(cue, start + place * phase, start + place * phase + this.showSteps));
      this.answers[start + CUES_IN_TRIAL * phase] = pair.includes(target) ? 1 : 0;
    });
    this.time = 0;
    this.previousReward = 0;
    this.previousAction = 0;
    return this.observation();
  }

  get done() {
    return this.time >= this.episodeLength;
  }

  // Whether this step is a Go step, at which the action is the answer.
  get asks() {
    return !this.done && this.answers[this.time] !== null;
  }

  // 1 yes or 0 no, at every step; it counts only at Go.
  step(action) {
    if (this.done) throw new Error("the episode is over (or none has begun): call reset() before step()");
    requireWhole("action", action, 0, 2);
    const answer = this.answers[this.time];
    this.previousReward = answer === null ? 0 : action === answer ? this.reward : -this.wrongPenalty;
    this.previousAction = action;
    this.time += 1;
    return { observation: this.observation(), reward: this.previousReward, asked: answer !== null };
  }

  // The numbers that the network gets: the cue's bits, Go, a 1, t / T, previous reward, previous action one-hot.
  observation() {
    const cue = this.done || this.shown[this.time] === null ? new Array(this.cueBits).fill(0) : this.cues[this.shown[this.time]];
    const time = Math.fround(this.time / this.episodeLength);
    return [...cue, this.asks ? 1 : 0, 1, time, this.previousReward, this.previousAction === 0 ? 1 : 0, this.previousAction === 1 ? 1 : 0];
  }
}

// What a perfect memory makes of these trials: before each its answer, and after each the cues that may still be
// the target.
function perfectMemory(pairs, target, numCues) {
  let left = Array.from({ length: numCues }, (_, cue) => cue);
  return pairs.map((pair) => {
    const among = left.filter((cue) => pair.includes(cue));
    const answer = 2 * among.length > left.length ? 1 : 0;
    left = pair.includes(target) ? among : left.filter((cue) => !pair.includes(cue));
    return { answer, left };
  });
}
