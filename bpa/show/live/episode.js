"use strict";
// An episode of bpa.tasks.pictures: pictures are shown in turn, with pauses, then half of one is to be completed.

// A picture with mean 0 and standard deviation 1; all 0 if it is of one shade.
function standardised(picture) {
  const mean = picture.reduce((a, b) => a + b, 0) / picture.length;
  const centred = Array.from(picture, (value) => value - mean);
  const deviation = Math.sqrt(centred.reduce((sum, value) => sum + value * value, 0) / centred.length);
  return centred.map((value) => (deviation > 1e-9 ? value / deviation : 0));
}

// Pixels of 0 and 1 as -1 and +1.
function signs(picture) {
  return Array.from(picture, (value) => 2 * value - 1);
}

const HALVES = {
  top: (row, column, side) => row < Math.floor(side / 2),
  bottom: (row, column, side) => row >= side - Math.floor(side / 2),
  left: (row, column, side) => column < Math.floor(side / 2),
  right: (row, column, side) => column >= side - Math.floor(side / 2),
};

// Which pixels a half hides.
function hiddenPixels(half, side) {
  requireKnown("half", half, Object.keys(HALVES));
  return Array.from({ length: side ** 2 }, (_, k) => HALVES[half](Math.floor(k / side), k % side, side));
}

// The inputs of all steps but those of the cue: the same order in each round.
function shownInTurn(pictures, { presentations, showSteps, pauseSteps }) {
  const pause = pictures[0].map(() => 0);
  const turn = pictures.flatMap((picture) => [...new Array(showSteps).fill(picture), ...new Array(pauseSteps).fill(pause)]);
  return new Array(presentations).fill(turn).flat();
}

// What the network answers at the last step of the cue; wiped: its traces are taken away before the cue.
function answerCue(network, inputs, cue, showSteps, wiped) {
  network.reset();
  inputs.forEach((x) => network.step(x));
  if (wiped) {
    network.hebb.fill(0);
    if (network.eligibility !== null) network.eligibility.fill(0);
  }
  let logits;
  for (let step = 0; step < showSteps; step++) ({ logits } = network.step(cue));
  return logits;
}

function hiddenError(answer, wanted, hidden) {
  const squares = wanted.flatMap((value, k) => (hidden[k] ? [(answer[k] - value) ** 2] : []));
  return squares.reduce((a, b) => a + b, 0) / squares.length;
}

// How many hidden pixels have the right sign.
function hiddenRight(answer, wanted, hidden) {
  return wanted.filter((value, k) => hidden[k] && Math.sign(answer[k]) === Math.sign(value)).length;
}
