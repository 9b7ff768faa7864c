"use strict";
// What the ideal agent of bpa.envs.ideal knows. It has the map and forgets nothing; it senses the 3 x 3 cells around
// it, its last reward and its last action. In a laboratory it is told of a hand that moves it or the goal, not where to.

// The number that a 3 x 3 neighbourhood is, 1 = wall: the first of the nine counts 1, the last 256.
function viewCode(observation) {
  let code = 0;
  for (let k = 0; k < 9; k++) code += observation[k] << k;
  return code;
}

class IdealBelief {
  constructor(maze) {
    const cells = maze.freeCells;
    this.centre = maze.centreIndex;
    this.paid = maze.reward > 0; // so that it knows when it has found its goal
    this.count = cells.length; // F, the free cells
    this.views = cells.map((cell) => viewCode(maze.around(cell)));
    // Where each action leads from each cell: to itself if there is a wall.
    this.successors = cells.map(([row, column], cell) => MOVES.map(([down, right]) => {
      const to = maze.indexOf([row + down, column + right]);
      return to < 0 ? cell : to;
    }));
    this.begin();
  }

  // It knows that it is at the centre, and that the goal is not.
  begin() {
    this.pairs = new Set(); // goal and place that are possible together, F goal + place
    for (let goal = 0; goal < this.count; goal++) if (goal !== this.centre) this.add(goal, this.centre);
  }

  add(goal, place) {
    this.pairs.add(this.count * goal + place);
  }

  // Each goal and each place that may go together, if they are of two cells.
  addAll(goals, places) {
    for (const goal of goals) for (const place of places) if (goal !== place) this.add(goal, place);
  }

  looking(view) {
    return [...this.views.keys()].filter((cell) => this.views[cell] === view);
  }

  // A step later, what the agent observes, 17 numbers.
  sense(observation) {
    const view = viewCode(observation);
    const rewarded = observation[12] > 0;
    const action = observation.indexOf(1, 13) - 13;
    const found = [];
    const before = this.pairs;
    this.pairs = new Set();
    for (const pair of before) {
      const goal = Math.floor(pair / this.count);
      const to = this.successors[pair % this.count][action];
      if (to === goal) {
        if (rewarded || !this.paid) found.push(goal);
      } else if (!rewarded && this.views[to] === view) this.add(goal, to);
    }
    if (found.length) this.addAll(found, this.looking(view)); // it is put anywhere else
  }

  // A hand has put the goal or the agent somewhere.
  told(what, observation) {
    const { goals, places } = this;
    this.pairs = new Set();
    if (what === "goal") this.addAll(this.views.keys(), places);
    else this.addAll(goals, this.looking(viewCode(observation)));
  }

  // Indices of the cells in which it could be.
  get places() {
    return [...new Set([...this.pairs].map((pair) => pair % this.count))];
  }

  // Indices of the cells in which its goal could be.
  get goals() {
    return [...new Set([...this.pairs].map((pair) => Math.floor(pair / this.count)))];
  }
}
