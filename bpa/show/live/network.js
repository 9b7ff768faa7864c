"use strict";
// The networks of bpa.Network for one episode, with the same equations in the same order, in double precision.
// Matrices are flat, row by row; row i is the pre-synaptic neuron, column j the post-synaptic one.

// Base64 of little-endian float32 -> numbers.
function decodeFloats(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true));
}

const MODULATORS = { tanh: Math.tanh, sigmoid: (m) => 1 / (1 + Math.exp(-m)), linear: (m) => m };

// weights [out, in] and bias [out] of a linear layer, applied to x [in].
function linear(weight, bias, x) {
  const out = Float64Array.from(bias);
  for (let k = 0; k < out.length; k++) {
    for (let i = 0; i < x.length; i++) out[k] += weight[k * x.length + i] * x[i];
  }
  return out;
}

// What this file can compute. Anything else is refused: it would run as if it were Hebb's own.
const KNOWN = {
  plasticity: ["none", "plastic", "simple", "retroactive"],
  rule: ["hebb", "decay", "oja"],
  clipping: ["hard", "soft"],
  modulator: Object.keys(MODULATORS),
  alphaShape: [null, "synapse", "neuron", "network"],
};

class Network {
  // settings: hiddenSize, plasticity, rule, clip, clipping, modulator, fanout, alphaShape; parameters: base64.
  constructor(settings, parameters) {
    for (const [name, known] of Object.entries(KNOWN)) {
      if (!known.includes(settings[name])) {
        const allowed = known.map((value) => JSON.stringify(value)).join(", ");
        throw new Error(`${name} must be one of ${allowed}, got ${JSON.stringify(settings[name])}`);
      }
    }
    Object.assign(this, settings);
    this.parameters = {};
    for (const [name, text] of Object.entries(parameters)) this.parameters[name] = decodeFloats(text);
    this.modulated = "h2mod.weight" in this.parameters;
    this.traces = true; // false: alpha counts as 0, so the traces have no say
    this.reset();
  }

  // All of the state is zero at the start of an episode.
  reset() {
    const H = this.hiddenSize;
    this.h = new Float64Array(H);
    this.hebb = this.plasticity === "none" ? null : new Float64Array(H * H);
    this.eligibility = this.plasticity === "retroactive" ? new Float64Array(H * H) : null;
    this.modulation = null;
  }

  alpha(i, j) {
    const { alpha } = this.parameters;
    if (this.alphaShape === "synapse") return alpha[i * this.hiddenSize + j];
    return this.alphaShape === "neuron" ? alpha[j] : alpha[0];
  }

  // What multiplies an increment in column j: eta, M(t), or the neuron's own gain.
  rate(j) {
    const { eta } = this.parameters;
    if (this.modulation === null) return eta[0];
    if (!this.fanout) return this.modulation;
    return this.parameters["modfanout.weight"][j] * this.modulation + this.parameters["modfanout.bias"][j];
  }

  clipped(hebb, increment) {
    if (this.clipping === "hard") return Math.min(Math.max(hebb + increment, -this.clip), this.clip);
    return hebb + increment * (increment > 0 ? 1 - hebb / this.clip : 1 + hebb / this.clip);
  }

  rewire(pre, post) {
    const H = this.hiddenSize;
    const { eta } = this.parameters;
    for (let j = 0; j < H; j++) {
      const rate = this.rate(j);
      for (let i = 0; i < H; i++) {
        const k = i * H + j;
        const product = pre[i] * post[j];
        if (this.rule === "decay") {
          this.hebb[k] = (1 - rate) * this.hebb[k] + rate * product;
        } else if (this.rule === "oja") {
          this.hebb[k] += rate * post[j] * (pre[i] - post[j] * this.hebb[k]);
        } else if (this.eligibility === null) {
          this.hebb[k] = this.clipped(this.hebb[k], rate * product);
        } else {
          this.hebb[k] = this.clipped(this.hebb[k], rate * this.eligibility[k]); // the old E
          this.eligibility[k] = (1 - eta[0]) * this.eligibility[k] + eta[0] * product;
        }
      }
    }
  }

  // One step: x [I] -> action logits and value; the state moves on.
  step(x) {
    const H = this.hiddenSize;
    const p = this.parameters;
    const pre = this.h;
    const post = linear(p["i2h.weight"], p["i2h.bias"], x);
    for (let i = 0; i < H; i++) {
      if (pre[i] === 0) continue;
      for (let j = 0; j < H; j++) {
        const k = i * H + j;
        const fast = this.hebb !== null && this.traces ? this.alpha(i, j) * this.hebb[k] : 0;
        post[j] += pre[i] * (p.w[k] + fast);
      }
    }
    for (let j = 0; j < H; j++) post[j] = Math.tanh(post[j]);
    if (this.modulated) {
      this.modulation = MODULATORS[this.modulator](linear(p["h2mod.weight"], p["h2mod.bias"], post)[0]);
    }
    if (this.hebb !== null) this.rewire(pre, post);
    this.h = post;
    return {
      logits: linear(p["h2o.weight"], p["h2o.bias"], post),
      value: linear(p["h2v.weight"], p["h2v.bias"], post)[0],
    };
  }
}

function softmax(logits) {
  const highest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

const SMALLEST = 2 ** -126; // as in bpa.training.rollout

// The first action at which the summed probabilities exceed the uniform number. Never one of probability 0,
// whatever rounding does to the sum; action 0 where a logit is NaN.
function sampleAction(logits, uniform) {
  let reached = 0;
  let last = 0;
  const policy = softmax(logits);
  for (let action = 0; action < policy.length; action++) {
    if (!(policy[action] > SMALLEST)) continue;
    reached += policy[action];
    last = action;
    if (uniform < reached) break;
  }
  return last;
}
