"use strict";
// A memory in one matrix: outer products by the rules of bpa.Network, and what it brings back.

class Memory {
  // rule: of network.js; clip: its bound, which decay and Oja's rule do not use.
  constructor({ size, rule, eta, clip }) {
    for (const [name, value] of Object.entries({ size, eta, clip })) {
      if (!(Number.isFinite(value) && value > 0)) throw new Error(`${name} must be a number above 0, got ${JSON.stringify(value)}`);
    }
    const settings = {
      cell: "rnn", inputSize: 1, hiddenSize: size, numActions: 1, plasticity: "plastic", rule, clip,
      clipping: "hard", modulator: "tanh", fanout: false, alphaShape: "network",
    };
    const parameters = Object.fromEntries(Object.entries(parameterSizes(settings)).map(([name, count]) => [name, new Float64Array(count)]));
    parameters.alpha[0] = 1; // what arrives is the plastic part alone, as if w were 0
    this.network = new Network(settings, parameters);
    this.network.state.rates.fill(eta);
    this.size = size;
  }

  get hebb() {
    return this.network.hebb;
  }

  require(name, pattern) {
    if (pattern.length !== this.size) throw new Error(`${name} must have ${this.size} numbers, got ${pattern.length}`);
  }

  // One step of the rule, the pattern on both sides.
  store(pattern) {
    this.require("pattern", pattern);
    const { hebb, rates } = this.network.state;
    const eligibility = null;
    this.network.rewire({ h: pattern, hebb, eligibility }, { post: pattern, hebb, eligibility, rates });
  }

  // What arrives at each neuron: cue @ hebb.
  arriving(cue) {
    this.require("cue", cue);
    const sums = new Float64Array(this.size);
    this.network.addPlastic(cue, this.hebb, sums, 0);
    return sums;
  }

  // Unknown pixels, 0, filled with the sign of what arrives; each further reading has the answer for its cue.
  recall(cue, readings = 1) {
    let answer = cue;
    for (let reading = 0; reading < readings; reading++) {
      const sums = this.arriving(answer);
      answer = Array.from(cue, (known, j) => (known === 0 ? signOf(sums[j]) : known));
    }
    return answer;
  }
}

const SILENCE = 1e-12; // what is left of sums that cancel, by rounding

function signOf(sum) {
  return Math.abs(sum) < SILENCE ? 0 : Math.sign(sum);
}

// 1 if they are equal, -1 if one is the other inverted.
function overlap(one, other) {
  return one.reduce((sum, value, k) => sum + value * other[k], 0) / one.length;
}

function equalPatterns(one, other) {
  return one.every((value, k) => value === other[k]);
}

// Of the pixels that the cue does not know: how many are right, and how many undecided.
function countRight(cue, answer, wanted) {
  const unknown = cue.map((_, k) => k).filter((k) => cue[k] === 0);
  return {
    unknown: unknown.length,
    right: unknown.filter((k) => answer[k] === wanted[k]).length,
    undecided: unknown.filter((k) => answer[k] === 0).length,
  };
}
