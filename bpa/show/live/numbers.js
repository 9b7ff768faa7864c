"use strict";
// Numbers: drawn at random, summed up, and in words.

// Uniform numbers in [0, 1): the same ones for the same seed, fresh ones without a seed.
function uniformSource(seed) {
  if (seed === null) return Math.random;
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0; // a Weyl sequence, mixed by two multiplications
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

// How many there are, their mean, and its standard error.
function meanAndError(numbers) {
  const count = numbers.length;
  const mean = numbers.reduce((a, b) => a + b, 0) / count;
  const variance = numbers.reduce((sum, number) => sum + (number - mean) ** 2, 0) / (count - 1);
  return { count, mean, error: Math.sqrt(variance / count) };
}

// A number with so many digits behind the point; no zero has a sign.
function fixed(number, digits) {
  return number.toFixed(digits).replace(/^-(0(\.0*)?)$/, "$1");
}

// So many of a thing: "1 step", "2 steps".
const counted = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;
