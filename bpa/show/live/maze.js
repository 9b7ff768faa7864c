"use strict";
// The grid maze of bpa.GridMaze, one episode at a time. Noise comes in as uniform numbers in [0, 1).

const NUM_ACTIONS = 4;
const MOVES = [[-1, 0], [1, 0], [0, -1], [0, 1]]; // up, down, left, right, as (row, column)

// Walls [n][n]: the outer wall, and a pillar where row and column are both even; the centre is free.
function mazeWalls(size) {
  const centre = Math.floor(size / 2);
  const walls = [];
  for (let row = 0; row < size; row++) {
    walls.push([]);
    for (let column = 0; column < size; column++) {
      const edge = row === 0 || column === 0 || row === size - 1 || column === size - 1;
      const pillar = row % 2 === 0 && column % 2 === 0;
      walls[row].push((edge || pillar) && !(row === centre && column === centre));
    }
  }
  return walls;
}

// An index below count other than `taken`; the product in float32, as in every engine.
function pickExcept(uniform, count, taken) {
  const index = Math.min(Math.floor(Math.fround(Math.fround(uniform) * (count - 1))), count - 2);
  return index + (index >= taken ? 1 : 0);
}

class GridMaze {
  constructor({ size = 11, episodeLength = 200, reward = 10, wallPenalty = 0 } = {}) {
    this.size = size;
    this.episodeLength = episodeLength;
    this.reward = reward;
    this.wallPenalty = wallPenalty;
    this.walls = mazeWalls(size);
    this.freeCells = [];
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        if (!this.walls[row][column]) this.freeCells.push([row, column]);
      }
    }
    const centre = Math.floor(size / 2);
    this.centreIndex = this.freeCells.findIndex(([row, column]) => row === centre && column === centre);
    this.time = episodeLength; // no episode before the first reset
  }

  reset(uniform = Math.random()) {
    this.goalIndex = pickExcept(uniform, this.freeCells.length, this.centreIndex);
    this.goal = this.freeCells[this.goalIndex];
    this.agent = this.freeCells[this.centreIndex];
    this.time = 0;
    this.previousReward = 0;
    this.previousAction = 0;
    return this.observation();
  }

  get done() {
    return this.time >= this.episodeLength;
  }

  // A hand from outside puts the goal or the agent on a free cell, given by its index; never one on the other.
  put(what, index) {
    if (!this.mayPut(what, index)) throw new Error(`${what} cannot be put on the cell of index ${index}`);
    if (what === "goal") this.goalIndex = index;
    this[what] = this.freeCells[index];
    return this.observation();
  }

  mayPut(what, index) {
    const other = what === "goal" ? this.agent : this.goal;
    return index in this.freeCells && index !== this.indexOf(other);
  }

  // Index of a free cell, -1 of a wall.
  indexOf([row, column]) {
    return this.freeCells.findIndex((cell) => cell[0] === row && cell[1] === column);
  }

  step(action, uniform = Math.random()) {
    if (this.done) throw new Error("the episode is over (or none has begun): call reset() before step()");
    const ahead = [this.agent[0] + MOVES[action][0], this.agent[1] + MOVES[action][1]];
    const blocked = this.walls[ahead[0]][ahead[1]];
    const landed = blocked ? this.agent : ahead;
    const found = landed[0] === this.goal[0] && landed[1] === this.goal[1];
    this.agent = found ? this.freeCells[pickExcept(uniform, this.freeCells.length, this.goalIndex)] : landed;
    this.time += 1;
    this.previousReward = (found ? this.reward : 0) - (blocked ? this.wallPenalty : 0);
    this.previousAction = action;
    return { observation: this.observation(), reward: this.previousReward, landed, found, blocked };
  }

  // The 3 x 3 neighbourhood of a cell, 1 = wall, row by row.
  around([row, column]) {
    return [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((right) => (this.walls[row + down][column + right] ? 1 : 0)));
  }

  // The 17 numbers: 3 x 3 neighbourhood, a 0, a 1, t / T, previous reward, previous action one-hot.
  observation() {
    const sensed = this.around(this.agent);
    sensed.push(0, 1, Math.fround(this.time / this.episodeLength), this.previousReward);
    for (let action = 0; action < NUM_ACTIONS; action++) sensed.push(action === this.previousAction ? 1 : 0);
    return sensed;
  }
}
