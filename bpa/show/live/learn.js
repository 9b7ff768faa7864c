"use strict";
// Learning in the page: an agent plays a batch of episodes in the maze, the loss of `bpa.train.a2c_loss` goes
// backward through every step and every change of a trace, and the weights take a step. The lines of the
// backward pass are those of the book's page on it, with those of the rules and the cell that it leaves out;
// a letter with a bar there is a name that ends in Bar here.

// Uniform numbers from the source for the first values of parameters, as `bpa` draws them.
function freshParameters(settings, { initialWeight, initialEta, initialSelf = 0 }, uniform) {
  const fanIn = { i2h: settings.inputSize, h2mod: settings.hiddenSize, modfanout: 1, h2o: settings.hiddenSize, h2v: settings.hiddenSize };
  const recurrent = settings.cell === "lstm" ? ["i2h.weight", "i2h.bias", "w"] : [];
  const drawn = {};
  for (const [name, size] of Object.entries(parameterSizes(settings))) {
    let [low, high] = [0, initialWeight]; // w and alpha
    if (name === "eta") low = high = initialEta;
    else if (recurrent.includes(name)) high = settings.hiddenSize ** -0.5;
    else if (name !== "w" && name !== "alpha") high = fanIn[name.split(".")[0]] ** -0.5;
    if (name.includes(".") || recurrent.includes(name)) low = -high;
    drawn[name] = Float64Array.from({ length: size }, () => low + (high - low) * uniform());
  }
  // The LSTM has no such connection.
  for (let i = 0; settings.cell !== "lstm" && i < settings.hiddenSize; i++) drawn.w[i * (settings.hiddenSize + 1)] += initialSelf;
  return drawn;
}

// The noise of a batch, time first: goal [B], action and teleport [T B].
function drawNoise(steps, episodes, uniform) {
  const draw = (count) => Float64Array.from({ length: count }, uniform);
  return { goal: draw(episodes), action: draw(steps * episodes), teleport: draw(steps * episodes) };
}

// G_t = r_t + gamma ( (1 - lambda) V_{t+1} + lambda G_{t+1} ), V_T = G_T = 0; with lambda = 1 the plain return.
function lambdaReturns(rewards, values, gamma, lambda) {
  const returns = new Float64Array(rewards.length);
  let [ahead, value] = [0, 0];
  for (let t = rewards.length - 1; t >= 0; t--) {
    ahead = rewards[t] + gamma * ((1 - lambda) * value + lambda * ahead);
    returns[t] = ahead;
    value = values[t];
  }
  return returns;
}

// X near to U V^T for a matrix [rows, columns] of any lengths: five steps of `bpa.training.muon`.
function orthogonalized(matrix, rows, columns) {
  if (rows > columns) return transposed(orthogonalized(transposed(matrix, rows, columns), columns, rows), columns, rows);
  const [A, B, C] = [3.4445, -4.775, 2.0315];
  const norm = Math.max(Math.sqrt(matrix.reduce((sum, value) => sum + value * value, 0)), 2 ** -126);
  let x = matrix.map((value) => value / norm);
  const times = (left, right, inner, across) => {
    const product = new Float64Array((left.length / inner) * across);
    for (let i = 0; i < left.length / inner; i++) {
      for (let l = 0; l < inner; l++) {
        const factor = left[i * inner + l];
        for (let j = 0; j < across; j++) product[i * across + j] += factor * right[l * across + j];
      }
    }
    return product;
  };
  for (let step = 0; step < 5; step++) {
    const gram = times(x, transposed(x, rows, columns), columns, rows);
    const square = times(gram, gram, rows, rows);
    const polynomial = gram.map((value, k) => B * value + C * square[k]);
    const moved = times(polynomial, x, rows, columns);
    x = x.map((value, k) => A * value + moved[k]);
  }
  return x;
}

function transposed(matrix, rows, columns) {
  const turned = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = matrix[i * columns + j];
  return turned;
}

// Adam for every parameter, or Muon for w and alpha where they are matrices and Adam for the others.
class Optimizer {
  constructor(network, { optimizer, adamEps }) {
    this.network = network;
    this.adamEps = adamEps;
    this.steps = 0;
    this.matrices = {};
    const [H, across] = [network.hiddenSize, network.drives];
    if (optimizer === "muon" && H > 1) {
      this.matrices.w = [H, across];
      if (network.alphaShape === "synapse") this.matrices.alpha = [H, H];
    }
    const zeros = (numbers) => numbers.map(() => 0);
    const each = (make) => Object.fromEntries(Object.entries(network.parameters).map(([name, numbers]) => [name, make(numbers)]));
    this.mean = each(zeros);
    this.square = each(zeros);
  }

  // A step down the gradients, by name as the parameters are.
  step(gradients, learningRate) {
    this.steps += 1;
    for (const [name, parameter] of Object.entries(this.network.parameters)) {
      if (name in this.matrices) this.muon(parameter, gradients[name], this.mean[name], this.matrices[name], learningRate);
      else this.adam(parameter, gradients[name], this.mean[name], this.square[name], learningRate);
    }
    this.network.spreadAlpha();
  }

  adam(parameter, gradient, mean, square, learningRate) {
    const first = 1 - 0.9 ** this.steps;
    const second = Math.sqrt(1 - 0.999 ** this.steps);
    for (let k = 0; k < parameter.length; k++) {
      const slope = gradient[k];
      mean[k] += 0.1 * (slope - mean[k]);
      square[k] = 0.999 * square[k] + 0.001 * slope * slope;
      parameter[k] -= ((learningRate / first) * mean[k]) / (Math.sqrt(square[k]) / second + this.adamEps);
    }
  }

  muon(parameter, gradient, mean, [rows, columns], learningRate) {
    for (let k = 0; k < mean.length; k++) mean[k] += 0.1 * (gradient[k] - mean[k]);
    const direction = orthogonalized(gradient.map((slope, k) => slope + 0.9 * (mean[k] - slope)), rows, columns);
    const size = learningRate * 0.2 * Math.sqrt(Math.max(rows, columns));
    for (let k = 0; k < parameter.length; k++) parameter[k] -= size * direction[k];
  }
}

// What the settings of a training may be: names known, or the least and the most.
const SETTINGS = {
  iterations: [1, 1e9],
  batchSize: [1, 1e6],
  optimizer: ["adam", "muon"],
  learningRate: [0, Infinity],
  learningRateSchedule: ["constant", "linear", "cosine"],
  adamEps: [0, Infinity],
  maxGradientNorm: [0, Infinity],
  gradientNormLimit: [0, Infinity],
  onDivergence: ["stop", "skip"],
  gamma: [0, 1],
  gaeLambda: [0, 1],
  valueCoef: [0, Infinity],
  concentrationCoef: [0, Infinity],
  baseline: ["own"],
};
const MOST_LEFT_OUT = 100; // steps left out in a row, after which a training is given up

function requireSettings(settings) {
  for (const [name, allowed] of Object.entries(SETTINGS)) {
    const value = settings[name];
    if (typeof allowed[0] === "string") requireKnown(name, value, allowed);
    else if (!(typeof value === "number" && value >= allowed[0] && value <= allowed[1])) {
      throw new Error(`${name} must be a number from ${allowed[0]} to ${allowed[1]}, got ${value}`);
    }
  }
  for (const name of Object.keys(settings)) if (!(name in SETTINGS)) throw new Error(`the page's learner does not know the setting ${name}`);
}

class Learner {
  // network: whose parameters learn; maze: settings of a GridMaze; settings: as in SETTINGS, every one.
  constructor(network, maze, settings) {
    requireSettings(settings);
    this.network = network;
    this.maze = new GridMaze(maze);
    this.settings = { ...settings };
    this.optimizer = new Optimizer(network, settings);
    this.iteration = 0;
    this.leftOut = 0;
    const zeros = () => Object.fromEntries(Object.entries(network.parameters).map(([name, numbers]) => [name, new Float64Array(numbers.length)]));
    this.gradients = zeros();
    // One episode at a time is kept whole, so that nothing has to be rebuilt on the way back.
    this.states = Array.from({ length: this.maze.episodeLength + 1 }, () => network.emptyState());
    const H = network.hiddenSize;
    this.bars = {
      h: new Float64Array(H),
      cell: new Float64Array(H),
      pre: new Float64Array(H),
      post: new Float64Array(H),
      rates: new Float64Array(H),
      drive: new Float64Array(network.drives),
      hebb: new Float64Array(network.plasticity === "none" ? 0 : H * H),
      eligibility: new Float64Array(network.plasticity === "retroactive" ? H * H : 0),
      alpha: new Float64Array(network.plasticity === "none" ? 0 : H * H), // of every connection
    };
  }

  // One episode forward: what was sensed, done, earned and expected. The states stay in this.states.
  play(noise, episode) {
    const { maze, network, states } = this;
    const [T, B] = [maze.episodeLength, noise.goal.length];
    const seen = { observations: [], actions: [], rewards: new Float64Array(T), policies: [], values: new Float64Array(T) };
    let observation = maze.reset(noise.goal[episode]);
    for (let t = 0; t < T; t++) {
      network.advance(observation, states[t], states[t + 1]);
      const { logits, value } = network.heads(states[t + 1]);
      const action = sampleAction(logits, noise.action[t * B + episode]);
      seen.observations.push(observation);
      seen.actions.push(action);
      seen.policies.push(softmax(logits));
      seen.values[t] = value;
      const outcome = maze.step(action, noise.teleport[t * B + episode]);
      observation = outcome.observation;
      seen.rewards[t] = outcome.reward;
    }
    return seen;
  }

  // The loss of one episode's share of a batch of B, and its derivatives by logits and values.
  loss(seen, B) {
    const { gamma, gaeLambda, valueCoef, concentrationCoef } = this.settings;
    const { rewards, values, actions, policies } = seen;
    const T = rewards.length;
    const share = 1 / (T * B);
    const returns = lambdaReturns(rewards, values, gamma, gaeLambda);
    const valueBars = new Float64Array(T);
    const logitBars = [];
    let loss = 0;
    for (let t = 0; t < T; t++) {
      const policy = policies[t];
      const advantage = returns[t] - values[t]; // a constant in the first term
      const concentration = policy.reduce((sum, p) => sum + p * p, 0);
      loss += share * (-Math.log(policy[actions[t]]) * advantage + valueCoef * advantage ** 2 + concentrationCoef * concentration);
      valueBars[t] = -2 * share * valueCoef * advantage;
      logitBars.push(
        policy.map((p, a) => share * ((p - (a === actions[t] ? 1 : 0)) * advantage + 2 * concentrationCoef * p * (p - concentration))),
      );
    }
    return { loss, logitBars, valueBars };
  }

  // The traces of one step: from hebbBar and eligibilityBar after it to those before it, and to the bars of the
  // rates, the pre-synaptic and the post-synaptic activity.
  traceBackward(from, to) {
    const { network, bars } = this;
    const H = network.hiddenSize;
    const [pre, post, rates, hebb, eligibility] = [from.h, to.post, to.rates, from.hebb, from.eligibility];
    const { hebb: hebbBar, eligibility: eligibilityBar, pre: preBar, post: postBar, rates: rateBar } = bars;
    const { rule, clip } = network;
    const hard = network.clipping === "hard";
    const eta = eligibility === null ? 0 : network.parameters.eta[0];
    let etaBar = 0;
    for (let i = 0, k = 0; i < H; i++) {
      const x = pre[i];
      let sum = 0;
      for (let j = 0; j < H; j++, k++) {
        const y = post[j];
        const rate = rates[j];
        const after = hebbBar[k];
        if (rule === "oja") {
          rateBar[j] += after * y * (x - y * hebb[k]);
          postBar[j] += after * rate * (x - 2 * y * hebb[k]);
          sum += after * rate * y;
          hebbBar[k] = after * (1 - rate * y * y);
          continue;
        }
        let productBar;
        if (rule === "decay") {
          rateBar[j] += after * (x * y - hebb[k]);
          productBar = rate * after;
          hebbBar[k] = (1 - rate) * after;
        } else {
          const source = eligibility === null ? x * y : eligibility[k];
          const increment = rate * source;
          let incrementBar = after; // of what is added, before the clip
          if (hard) {
            const total = hebb[k] + increment;
            if (total > clip || total < -clip) incrementBar = 0;
            hebbBar[k] = incrementBar;
          } else {
            incrementBar = after * (increment > 0 ? 1 - hebb[k] / clip : 1 + hebb[k] / clip);
            hebbBar[k] = after * (1 - Math.abs(increment) / clip);
          }
          rateBar[j] += incrementBar * source;
          productBar = rate * incrementBar;
          if (eligibility !== null) {
            const gathered = eligibilityBar[k];
            etaBar += gathered * (x * y - source);
            eligibilityBar[k] = productBar + (1 - eta) * gathered;
            productBar = eta * gathered;
          }
        }
        postBar[j] += productBar * x;
        sum += productBar * y;
      }
      preBar[i] += sum;
    }
    if (eligibility !== null) this.gradients.eta[0] += etaBar;
  }

  // From the bars of the rates to those of eta, or of the modulator and of the activity that it reads.
  rateBackward(to) {
    const { network, gradients, bars } = this;
    const p = network.parameters;
    const H = network.hiddenSize;
    let modulationBar = 0;
    for (let j = 0; j < H; j++) {
      const rateBar = bars.rates[j];
      if (network.fanout) {
        gradients["modfanout.weight"][j] += rateBar * to.modulation;
        gradients["modfanout.bias"][j] += rateBar;
        modulationBar += rateBar * p["modfanout.weight"][j];
      } else modulationBar += rateBar;
    }
    if (!network.modulated) {
      gradients.eta[0] += modulationBar;
      return;
    }
    const M = to.modulation;
    const mBar = modulationBar * { tanh: 1 - M * M, sigmoid: M * (1 - M), linear: 1 }[network.modulator];
    gradients["h2mod.bias"][0] += mBar;
    for (let j = 0; j < H; j++) {
      gradients["h2mod.weight"][j] += mBar * to.h[j];
      bars.h[j] += mBar * p["h2mod.weight"][j];
    }
  }

  // From the bars of h and of the post-synaptic activity to those of the drive, and of the cell before.
  activityBackward(from, to) {
    const { network, bars } = this;
    const H = network.hiddenSize;
    if (network.cell === "rnn") {
      for (let j = 0; j < H; j++) bars.drive[j] = (bars.h[j] + bars.post[j]) * (1 - to.h[j] ** 2);
      return;
    }
    for (let j = 0; j < H; j++) {
      const [input, forget, output, candidate] = [to.gates[j], to.gates[H + j], to.gates[2 * H + j], to.gates[3 * H + j]];
      const shown = Math.tanh(to.cell[j]);
      const cellBar = bars.cell[j] + bars.h[j] * output * (1 - shown * shown);
      bars.drive[j] = cellBar * candidate * input * (1 - input);
      bars.drive[H + j] = cellBar * from.cell[j] * forget * (1 - forget);
      bars.drive[2 * H + j] = bars.h[j] * shown * output * (1 - output);
      bars.drive[3 * H + j] = (cellBar * input + bars.post[j]) * (1 - candidate * candidate);
      bars.cell[j] = cellBar * forget;
    }
  }

  // From the bars of the drive to those of all that is summed in it.
  connectionBackward(from, observation) {
    const { network, gradients, bars } = this;
    const [H, G] = [network.hiddenSize, network.drives];
    const [w, wBar, driveBar, preBar] = [network.parameters.w, gradients.w, bars.drive, bars.pre];
    for (let i = 0, k = 0; i < H; i++) {
      const x = from.h[i];
      let sum = 0;
      for (let g = 0; g < G; g++, k++) {
        wBar[k] += driveBar[g] * x;
        sum += driveBar[g] * w[k];
      }
      preBar[i] += sum;
    }
    if (network.plasticity !== "none") {
      const { alpha } = network;
      const [hebb, hebbBar, alphaBar] = [from.hebb, bars.hebb, bars.alpha];
      for (let i = 0, k = 0; i < H; i++) {
        const x = from.h[i];
        let sum = 0;
        for (let j = 0; j < H; j++, k++) {
          const a = driveBar[G - H + j];
          alphaBar[k] += a * hebb[k] * x;
          sum += a * alpha[k] * hebb[k];
          hebbBar[k] += a * alpha[k] * x;
        }
        preBar[i] += sum;
      }
    }
    const [weightBar, biasBar, I] = [gradients["i2h.weight"], gradients["i2h.bias"], observation.length];
    for (let g = 0; g < G; g++) {
      const a = driveBar[g];
      biasBar[g] += a;
      for (let i = 0; i < I; i++) if (observation[i] !== 0) weightBar[g * I + i] += a * observation[i];
    }
  }

  // One episode backward, from the last step to the first; adds to this.gradients.
  backward(seen, logitBars, valueBars) {
    const { network, gradients, bars, states } = this;
    const p = network.parameters;
    const H = network.hiddenSize;
    for (const name of ["pre", "cell", "hebb", "eligibility"]) bars[name].fill(0);
    for (let t = seen.actions.length - 1; t >= 0; t--) {
      const [from, to] = [states[t], states[t + 1]];
      bars.h.set(bars.pre); // of the step after this one, where h was the activity before
      gradients["h2v.bias"][0] += valueBars[t];
      for (let j = 0; j < H; j++) {
        gradients["h2v.weight"][j] += valueBars[t] * to.h[j];
        bars.h[j] += valueBars[t] * p["h2v.weight"][j];
      }
      logitBars[t].forEach((logitBar, a) => {
        gradients["h2o.bias"][a] += logitBar;
        for (let j = 0; j < H; j++) {
          gradients["h2o.weight"][a * H + j] += logitBar * to.h[j];
          bars.h[j] += logitBar * p["h2o.weight"][a * H + j];
        }
      });
      for (const name of ["pre", "post", "rates"]) bars[name].fill(0);
      if (network.plasticity !== "none") {
        this.traceBackward(from, to);
        this.rateBackward(to);
      }
      this.activityBackward(from, to);
      this.connectionBackward(from, seen.observations[t]);
    }
  }

  // A batch of episodes and the gradient of its loss; this changes no weight.
  differentiate(noise) {
    const B = noise.goal.length;
    const { network, gradients, bars } = this;
    for (const gradient of Object.values(gradients)) gradient.fill(0);
    bars.alpha.fill(0);
    let [loss, reward, finite] = [0, 0, true];
    const actions = [];
    for (let episode = 0; episode < B; episode++) {
      const seen = this.play(noise, episode);
      const { loss: part, logitBars, valueBars } = this.loss(seen, B);
      this.backward(seen, logitBars, valueBars);
      loss += part;
      reward += seen.rewards.reduce((sum, each) => sum + each, 0) / B;
      actions.push(seen.actions);
      const { hebb } = this.states[seen.actions.length];
      finite &&= hebb === null || hebb.every(Number.isFinite);
    }
    const { alphaShape, hiddenSize: H } = network;
    bars.alpha.forEach((alphaBar, k) => {
      gradients.alpha[{ synapse: k, neuron: k % H, network: 0 }[alphaShape]] += alphaBar;
    });
    const squares = Object.values(gradients).map((gradient) => gradient.reduce((sum, each) => sum + each * each, 0));
    const gradientNorm = Math.sqrt(squares.reduce((sum, each) => sum + each, 0));
    return { loss, reward, gradientNorm, finite, actions };
  }

  // What the learning rate is multiplied by at this iteration, from 1 down towards 0.
  schedule() {
    const passed = (this.iteration - 1) / this.settings.iterations;
    return { constant: 1, linear: 1 - passed, cosine: (1 + Math.cos(Math.PI * passed)) / 2 }[this.settings.learningRateSchedule];
  }

  // One iteration: a batch and a step of the optimiser, which is left out where it is not to be trusted.
  iterate(noise) {
    const { settings, gradients } = this;
    const { loss, reward, gradientNorm, finite } = this.differentiate(noise);
    this.iteration += 1;
    if (Number.isFinite(loss) && gradientNorm <= settings.gradientNormLimit && finite) {
      const factor = Math.min(1, settings.maxGradientNorm / (gradientNorm + 1e-6));
      for (const gradient of Object.values(gradients)) for (let k = 0; k < gradient.length; k++) gradient[k] *= factor;
      this.optimizer.step(gradients, settings.learningRate * this.schedule());
      this.leftOut = 0;
    } else if (settings.onDivergence === "stop" || this.leftOut === MOST_LEFT_OUT) {
      throw new Error(`iteration ${this.iteration} diverged: loss ${loss}, gradient norm ${gradientNorm}; a smaller learning rate may help`);
    } else this.leftOut += 1;
    return { iteration: this.iteration, loss, reward, gradientNorm };
  }
}
