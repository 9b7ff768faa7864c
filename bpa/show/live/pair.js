"use strict";
// Two cells and the four connections between them, step by step, with every number of a step.

class Pair {
  // plasticity: of network.js; w: of the connection from cell 1 to cell 2, the other three are 0.
  constructor({ plasticity, w, alpha, eta, clip }) {
    const settings = {
      cell: "rnn", inputSize: 2, hiddenSize: 2, numActions: 1, plasticity, rule: "hebb", clip,
      clipping: "hard", modulator: "tanh", fanout: false, alphaShape: "network",
    };
    const parameters = Object.fromEntries(Object.entries(parameterSizes(settings)).map(([name, count]) => [name, new Float64Array(count)]));
    for (const [name, value] of Object.entries({ w, alpha, eta, clip })) {
      if (!Number.isFinite(value)) throw new Error(`${name} must be a number, got ${JSON.stringify(value)}`);
    }
    parameters.w[1] = w;
    parameters.alpha[0] = alpha;
    if ("eta" in parameters) parameters.eta[0] = eta;
    parameters["i2h.weight"].set([1, 0, 0, 1]); // each cell has an input of its own
    Object.assign(this, { plasticity, eta, alpha, clip });
    this.network = new Network(settings, parameters);
    this.w = parameters.w;
  }

  // What the network carries: x [2], Hebb [2, 2] and, where there is one, E [2, 2].
  moment() {
    const { h, hebb, eligibility } = this.network;
    return { x: [...h], hebb: [...hebb], eligibility: eligibility && [...eligibility] };
  }

  // inputs: [{ inputs: [2], m }]; m is M(t), which counts where there is a modulator. -> one moment more than inputs.
  live(steps) {
    this.network.reset();
    const moments = [this.moment()];
    for (const { inputs, m } of steps) {
      this.network.forced = m;
      this.network.step(inputs);
      moments.push(this.moment());
    }
    return moments;
  }

  // The numbers of the step from one moment to the next, for the connection from cell i to cell j.
  explain(before, after, { inputs, m }, i, j) {
    const k = 2 * i + j;
    const strength = (moment, from) => this.w[2 * from + j] + this.alpha * moment.hebb[2 * from + j];
    const arriving = inputs[j] + strength(before, 0) * before.x[0] + strength(before, 1) * before.x[1];
    const product = before.x[i] * after.x[j];
    const source = before.eligibility === null ? product : before.eligibility[k];
    const rate = this.plasticity === "plastic" ? this.eta : m;
    return {
      w: this.w[k], hebb: before.hebb[k], strength: strength(before, i),
      input: inputs[j], strengths: [strength(before, 0), strength(before, 1)], arriving,
      pre: before.x[i], post: after.x[j], product, rate, source, change: rate * source,
      eligibility: before.eligibility && before.eligibility[k],
      newHebb: after.hebb[k], newEligibility: after.eligibility && after.eligibility[k], newStrength: strength(after, i),
    };
  }
}
