"use strict";
// bpa.Network and bpa.LSTM, one step of one episode, with the same equations in the same order, in double
// precision. Matrices are flat, row by row; row i is the pre-synaptic neuron, column j the post-synaptic one.

// Base64 of little-endian float32 -> numbers.
function decodeFloats(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true));
}

const logistic = (m) => 1 / (1 + Math.exp(-m));
const MODULATORS = { tanh: Math.tanh, sigmoid: logistic, linear: (m) => m };

// What this file can compute. Anything else is refused: it would run as if it were Hebb's own.
const KNOWN = {
  cell: ["rnn", "lstm"],
  plasticity: ["none", "plastic", "simple", "retroactive"],
  rule: ["hebb", "decay", "oja"],
  clipping: ["hard", "soft"],
  modulator: Object.keys(MODULATORS),
  alphaShape: [null, "synapse", "neuron", "network"],
};
const MODULATED = ["simple", "retroactive"]; // the network says when to learn

// A choice of `known`, or an Error that names it.
function requireKnown(name, value, known) {
  if (known.includes(value)) return;
  const allowed = known.map((each) => JSON.stringify(each)).join(", ");
  throw new Error(`${name} must be one of ${allowed}, got ${JSON.stringify(value)}`);
}

// How many numbers each parameter has, in the order in which PyTorch names them.
function parameterSizes({ cell, inputSize, hiddenSize, numActions, plasticity, fanout, alphaShape }) {
  const [H, drives] = [hiddenSize, (cell === "lstm" ? 4 : 1) * hiddenSize];
  const sizes = { w: H * drives };
  if (plasticity !== "none") sizes.alpha = { synapse: H * H, neuron: H, network: 1 }[alphaShape];
  if (plasticity === "plastic" || plasticity === "retroactive") sizes.eta = 1;
  Object.assign(sizes, { "i2h.weight": drives * inputSize, "i2h.bias": drives });
  if (MODULATED.includes(plasticity)) Object.assign(sizes, { "h2mod.weight": H, "h2mod.bias": 1 });
  if (fanout) Object.assign(sizes, { "modfanout.weight": H, "modfanout.bias": H });
  return Object.assign(sizes, { "h2o.weight": numActions * H, "h2o.bias": numActions, "h2v.weight": H, "h2v.bias": 1 });
}

// weight [out, in] x [in] + bias [out] -> out.
function linear(weight, bias, x, out = new Float64Array(bias.length)) {
  const inputs = x.length;
  for (let k = 0; k < out.length; k++) {
    let sum = bias[k];
    for (let i = 0, at = k * inputs; i < inputs; i++, at++) sum += weight[at] * x[i];
    out[k] = sum;
  }
  return out;
}

class Network {
  // settings: cell, inputSize, hiddenSize, numActions, plasticity, rule, clip, clipping, modulator, fanout,
  // alphaShape; parameters by name, as numbers or as base64.
  constructor(settings, parameters) {
    for (const [name, known] of Object.entries(KNOWN)) requireKnown(name, settings[name], known);
    const modulated = MODULATED.includes(settings.plasticity);
    if ((settings.alphaShape === null) !== (settings.plasticity === "none")) {
      throw new Error(`alphaShape ${JSON.stringify(settings.alphaShape)} does not go with plasticity "${settings.plasticity}"`);
    }
    if (settings.fanout && !modulated) throw new Error(`fanout needs a modulator, got plasticity "${settings.plasticity}"`);
    if (settings.rule !== "hebb" && (settings.plasticity !== "plastic" || settings.cell !== "rnn")) {
      throw new Error(`rule "${settings.rule}" needs plasticity "plastic" and cell "rnn", got "${settings.plasticity}" and "${settings.cell}"`);
    }
    Object.assign(this, settings);
    this.parameters = {};
    const sizes = parameterSizes(settings);
    for (const [name, given] of Object.entries(parameters)) {
      const numbers = typeof given === "string" ? decodeFloats(given) : given;
      if (sizes[name] !== numbers.length) {
        throw new Error(`parameter ${name} must have ${sizes[name] ?? 0} numbers, got ${numbers.length}`);
      }
      this.parameters[name] = numbers;
    }
    for (const name of Object.keys(sizes)) if (!(name in parameters)) throw new Error(`parameter ${name} is missing`);
    this.modulated = modulated;
    this.traces = true; // false: alpha counts as 0, so the traces have no say
    this.frozen = false; // true: the traces stay as they are
    this.forced = null; // a number: what M(t) is, whatever the network says
    this.drives = sizes["i2h.bias"]; // 4 H in an LSTM: input gate, forget gate, output gate, candidate
    this.drive = new Float64Array(this.drives);
    this.state = this.emptyState();
    this.next = { ...this.emptyState(), hebb: this.state.hebb, eligibility: this.state.eligibility };
    this.reset();
  }

  // What a step reads and what it writes; all of it is zero at the start of an episode.
  emptyState() {
    const H = this.hiddenSize;
    const gates = this.cell === "lstm" ? new Float64Array(4 * H) : null; // of the step that led here
    const h = new Float64Array(H);
    return {
      h,
      cell: gates && new Float64Array(H),
      gates,
      post: gates ? gates.subarray(3 * H) : h, // what Hebb takes for the post-synaptic activity
      hebb: this.plasticity === "none" ? null : new Float64Array(H * H),
      eligibility: this.plasticity === "retroactive" ? new Float64Array(H * H) : null,
      modulation: null,
      rates: this.plasticity === "none" ? null : new Float64Array(H),
    };
  }

  reset() {
    for (const part of Object.values(this.state)) if (part !== null && part.fill) part.fill(0);
    this.state.modulation = null;
    this.spreadAlpha();
  }

  get h() {
    return this.state.h;
  }

  get hebb() {
    return this.state.hebb;
  }

  get eligibility() {
    return this.state.eligibility;
  }

  get modulation() {
    return this.state.modulation;
  }

  // One coefficient for each connection [H, H], whatever the shape of alpha; to be called when alpha has changed.
  spreadAlpha() {
    const { alpha } = this.parameters;
    if (this.plasticity === "none" || this.alphaShape === "synapse") {
      this.alpha = alpha;
      return;
    }
    const H = this.hiddenSize;
    this.alpha = Float64Array.from({ length: H * H }, (_, k) => alpha[this.alphaShape === "neuron" ? k % H : 0]);
  }

  // What multiplies an increment in each column: eta, M(t), or the neuron's own gain.
  setRates(state) {
    const p = this.parameters;
    if (!this.modulated) {
      state.rates.fill(p.eta[0]);
      return;
    }
    const m = linear(p["h2mod.weight"], p["h2mod.bias"], state.h)[0];
    state.modulation = this.forced ?? MODULATORS[this.modulator](m);
    if (!this.fanout) {
      state.rates.fill(state.modulation);
      return;
    }
    const [weight, bias] = [p["modfanout.weight"], p["modfanout.bias"]];
    for (let j = 0; j < weight.length; j++) state.rates[j] = weight[j] * state.modulation + bias[j];
  }

  // drive_j += sum_i alpha_ij Hebb_ij x_i(t-1), where `first` is the place of j = 0.
  addPlastic(pre, hebb, drive, first) {
    const [H, alpha] = [this.hiddenSize, this.alpha];
    for (let i = 0, k = 0; i < H; i++) {
      const x = pre[i];
      for (let j = 0; j < H; j++, k++) drive[first + j] += x * alpha[k] * hebb[k];
    }
  }

  // x(t) and, in an LSTM, the cell and the gates.
  activate(drive, from, to) {
    const H = this.hiddenSize;
    if (this.cell === "rnn") {
      for (let j = 0; j < H; j++) to.h[j] = Math.tanh(drive[j]);
      return;
    }
    for (let k = 0; k < 3 * H; k++) to.gates[k] = logistic(drive[k]);
    for (let j = 0; j < H; j++) {
      to.post[j] = Math.tanh(drive[3 * H + j]);
      to.cell[j] = to.gates[H + j] * from.cell[j] + to.gates[j] * to.post[j];
      to.h[j] = to.gates[2 * H + j] * Math.tanh(to.cell[j]);
    }
  }

  // Hebb(t+1) and E(t+1), in place or not.
  rewire(from, to) {
    const H = this.hiddenSize;
    const [pre, post, rates, old, hebb] = [from.h, to.post, to.rates, from.hebb, to.hebb];
    const { eligibility: oldEligibility } = from;
    const { eligibility } = to;
    const eta = eligibility === null ? 0 : this.parameters.eta[0];
    const { clip } = this;
    const hard = this.clipping === "hard";
    for (let i = 0, k = 0; i < H; i++) {
      const x = pre[i];
      if (this.rule === "decay") {
        for (let j = 0; j < H; j++, k++) hebb[k] = (1 - rates[j]) * old[k] + rates[j] * x * post[j];
      } else if (this.rule === "oja") {
        for (let j = 0; j < H; j++, k++) hebb[k] = old[k] + rates[j] * post[j] * (x - post[j] * old[k]);
      } else {
        for (let j = 0; j < H; j++, k++) {
          const product = x * post[j];
          let source = product;
          if (eligibility !== null) {
            source = oldEligibility[k]; // the trace gathered before this step
            eligibility[k] = (1 - eta) * source + eta * product;
          }
          const increment = rates[j] * source;
          const sum = old[k] + increment;
          if (hard) hebb[k] = sum > clip ? clip : sum < -clip ? -clip : sum;
          else hebb[k] = old[k] + increment * (increment > 0 ? 1 - old[k] / clip : 1 + old[k] / clip);
        }
      }
    }
  }

  // One step, x [I], from one state to another, which may share their traces but nothing else.
  advance(x, from, to) {
    const [H, G, p, drive] = [this.hiddenSize, this.drives, this.parameters, this.drive];
    linear(p["i2h.weight"], p["i2h.bias"], x, drive);
    for (let i = 0, k = 0; i < H; i++) {
      const before = from.h[i];
      for (let g = 0; g < G; g++, k++) drive[g] += before * p.w[k];
    }
    if (this.plasticity !== "none" && this.traces) this.addPlastic(from.h, from.hebb, drive, G - H);
    this.activate(drive, from, to);
    if (this.plasticity === "none") return;
    this.setRates(to);
    if (!this.frozen) this.rewire(from, to);
    else if (to.hebb !== from.hebb) throw new Error("frozen needs states that share their traces");
  }

  // Action logits and value of a state.
  heads(state) {
    const p = this.parameters;
    return {
      logits: linear(p["h2o.weight"], p["h2o.bias"], state.h),
      value: linear(p["h2v.weight"], p["h2v.bias"], state.h)[0],
    };
  }

  // One step of the episode that this network lives: x [I] -> action logits and value; its own state moves on.
  step(x) {
    this.advance(x, this.state, this.next);
    [this.state, this.next] = [this.next, this.state];
    return this.heads(this.state);
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
