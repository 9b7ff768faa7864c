"use strict";
// A training that goes on in slices, in a worker or in the page itself, and tells the figure how it goes.

const TELL_EVERY = 150; // milliseconds between two reports of a training on its way

class Trainer {
  // post: takes the messages to the figure.
  constructor(post) {
    this.post = post;
    this.running = false;
    this.channel = new MessageChannel(); // what is posted to it comes after the messages that wait
    this.channel.port1.onmessage = () => this.slice();
  }

  // begin: a network from nothing; change: settings of the learner; run: go on or wait; test: score what there is.
  receive({ begin, change, run, test }) {
    try {
      if (begin) this.begin(begin);
      if (change) {
        requireSettings({ ...this.learner.settings, ...change });
        Object.assign(this.learner.settings, change);
      }
      if (run !== undefined) this.run(run);
      if (test) this.post({ tested: this.test(test), training: this.number });
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    this.running = false;
    this.post({ failed: error.message, training: this.number });
  }

  begin({ number, network, first, maze, training, seed }) {
    this.number = number; // goes with all that is posted: the figure may have begun anew meanwhile
    this.uniform = uniformSource(seed);
    this.maze = maze;
    this.network = new Network(network, freshParameters(network, first, this.uniform));
    this.learner = new Learner(this.network, maze, training);
    this.running = false;
    this.records = [];
    this.tell();
  }

  run(run) {
    const begins = run && !this.running;
    this.running = run;
    if (begins) this.later();
    this.tell();
  }

  later() {
    this.channel.port2.postMessage(null);
  }

  slice() {
    if (!this.running) return;
    try {
      const { episodeLength } = this.maze;
      const { batchSize, iterations } = this.learner.settings;
      this.records.push(this.learner.iterate(drawNoise(episodeLength, batchSize, this.uniform)));
      this.running = this.learner.iteration < iterations;
      if (!this.running || performance.now() - this.told > TELL_EVERY) this.tell();
      if (this.running) this.later();
    } catch (error) {
      this.fail(error);
    }
  }

  tell() {
    const parameters = Object.fromEntries(Object.entries(this.network.parameters).map(([name, numbers]) => [name, numbers.slice()]));
    this.post({ records: this.records, iteration: this.learner.iteration, running: this.running, parameters, training: this.number });
    this.records = [];
    this.told = performance.now();
  }

  // Rewards of so many episodes with the traces and without, the noise of both the same.
  test({ episodes, seed }) {
    const noise = drawNoise(this.maze.episodeLength, episodes, uniformSource(seed));
    const score = (traces) => {
      this.network.traces = traces;
      const scores = Array.from({ length: episodes }, (_, k) => this.learner.play(noise, k).rewards.reduce((a, b) => a + b, 0));
      this.network.traces = true;
      return scores;
    };
    const scores = { episodes, iteration: this.learner.iteration, with: score(true) };
    return this.network.hebb === null ? scores : { ...scores, without: score(false) };
  }
}
