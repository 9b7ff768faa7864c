"""What the ideal agent knows, in the page: as in Python, and as a filter over all that is possible says."""

import pytest
import torch
from javascript import run_javascript
from mazes import seeded

from bpa import GridMaze
from bpa.envs.baselines import ideal_path
from bpa.envs.ideal import Ideal
from bpa.envs.maze_map import maze_map
from bpa.noise import integers
from bpa.show import widgets

SOURCES = ("maze.js", "belief.js")
B, T = 60, 100

LIVE = """({ settings, episodes }) => episodes.map(({ goal, actions, teleports, deeds }) => {
  const maze = new GridMaze(settings);
  maze.reset(goal);
  const ideal = new IdealBelief(maze);
  const look = () => ({
    places: ideal.places, goals: ideal.goals, place: maze.indexOf(maze.agent), goal: maze.goalIndex,
    pairs: ideal.pairs.size,
  });
  const seen = [look()];
  actions.forEach((action, time) => {
    for (const [when, what, index] of deeds) {
      if (when === time && maze.mayPut(what, index)) ideal.told(what, maze.put(what, index));
    }
    ideal.sense(maze.step(action, teleports[time]).observation);
    seen.push(look());
  });
  ideal.begin();
  return { seen, afresh: [ideal.places, ideal.goals.length] };
})"""


def lived(size, goal, actions, teleports, deeds, reward=10.0):
    """What the page's ideal agent knows, before the first step and after each."""
    settings = widgets.maze_settings(size, len(actions), reward, 0.5)
    episodes = [
        {
            "goal": goal[b].item(),
            "actions": actions[:, b].tolist(),
            "teleports": teleports[:, b].tolist(),
            "deeds": deeds[b],
        }
        for b in range(len(goal))
    ]
    return run_javascript(LIVE, {"settings": settings, "episodes": episodes}, SOURCES)


def noise(seed):
    """Noise and random actions of B episodes."""
    generator = seeded(seed)
    goal, teleports = (torch.rand(shape, generator=generator) for shape in ((B,), (T, B)))
    return generator, goal, teleports, integers(4, T, B, generator=generator)


@pytest.mark.parametrize("size", [5, 7, 9, 11])
def test_it_is_the_belief_of_the_ideal_agent_in_python(size):
    """Half of the episodes it plays itself; in the other half somebody walks at random, into walls too."""
    _, goal, teleports, actions = noise(size)
    maze = GridMaze(size, B, T, wall_penalty=0.5)
    agent = Ideal(maze_map(size), ideal_path(size, T), T)
    maze.reset(goal)
    could = []
    for t in range(T):
        actions[t, ::2] = agent(maze)[::2]
        could.append(agent.could_be())
        maze.step(actions[t], teleports[t])
    got = lived(size, goal, actions, teleports, [[]] * B)
    sizes = set()
    for b, episode in enumerate(got):
        for t in range(T):
            want = could[t][b].nonzero().flatten().tolist()
            assert sorted(episode["seen"][t]["places"]) == want, (b, t)
            sizes.add(len(want))
        assert len(episode["seen"][T]["goals"]) >= 1
        assert episode["afresh"] == [[maze_map(size).centre], len(maze.free_cells) - 1]
    assert max(sizes) >= {5: 1, 7: 2, 9: 4, 11: 9}[size]
    assert max(sizes) == 1 or size > 5, "in the smallest maze no two cells look alike"
    rewarded = [episode for episode in got if len(episode["seen"][T]["goals"]) == 1]
    assert len(rewarded) > B / 2


class Filter:
    """The probability of each goal and cell together, [F, F], after all that was sensed."""

    def __init__(self, size, paid):
        self.paid = paid  # a goal that pays nothing is found without a sign
        maze = GridMaze(size, 1, 10)
        self.cells = maze.free_cells.tolist()
        F = len(self.cells)
        free = {tuple(cell): k for k, cell in enumerate(self.cells)}
        self.views = [
            tuple((row + i, column + j) in free for i in (-1, 0, 1) for j in (-1, 0, 1))
            for row, column in self.cells
        ]
        self.leads = torch.zeros(4, F, F, dtype=torch.float64)
        for k, (row, column) in enumerate(self.cells):
            for action, (down, right) in enumerate(((-1, 0), (1, 0), (0, -1), (0, 1))):
                self.leads[action, k, free.get((row + down, column + right), k)] = 1
        self.apart = 1 - torch.eye(F, dtype=torch.float64)
        self.belief = torch.zeros(F, F, dtype=torch.float64)
        self.belief[:, free[size // 2, size // 2]] = 1
        self.belief *= self.apart

    def seen(self, cell):
        """Strike out the cells that look different."""
        self.belief *= torch.tensor([float(view == self.views[cell]) for view in self.views])
        self.belief /= self.belief.sum()

    def step(self, action, rewarded, cell):
        moved = self.belief @ self.leads[action]
        found = moved.diagonal()[:, None] * self.apart / (len(self.cells) - 1)
        if rewarded:
            self.belief = found
        else:
            self.belief = moved * self.apart + (0 if self.paid else found)
        self.seen(cell)

    def told(self, what, cell):
        if what == "goal":
            self.belief = self.belief.sum(0) * self.apart
        else:
            self.belief = self.belief.sum(1)[:, None] * self.apart
            self.seen(cell)


@pytest.mark.parametrize(("size", "paid"), [(7, True), (11, True), (7, False)])
def test_with_a_hand_in_the_maze_it_is_all_that_is_possible_and_nothing_else(size, paid):
    generator, goal, teleports, actions = noise(100 + size)
    F = GridMaze(size, 1, T).free_cells.shape[0]
    when = integers(T, B, 3, generator=generator).sort(1).values.tolist()
    index = integers(F, B, 3, generator=generator).tolist()
    deeds = [
        [[when[b][k], ("goal", "agent")[(b + k) % 2], index[b][k]] for k in range(3)] if b else []
        for b in range(B)
    ]
    reward = 10.0 if paid else 0.0
    got = lived(size, goal[:30], actions, teleports, deeds, reward)
    most = 0
    for b, episode in enumerate(got):
        knows, maze = Filter(size, paid), GridMaze(size, 1, T, reward)
        maze.reset(goal[[b]])
        for t in range(T):
            for moment, what, cell in deeds[b]:
                place = maze.free_cells[[cell]]
                if moment != t or (place == (maze.agent if what == "goal" else maze.goal)).all():
                    continue
                if what == "goal":
                    maze.goal, maze.goal_index = place, torch.tensor([cell])
                else:
                    maze.agent = place
                knows.told(what, cell)
            _, earned, _ = maze.step(actions[t, [b]], teleports[t, [b]])
            knows.step(actions[t, b], earned.item() > 0, knows.cells.index(maze.agent[0].tolist()))
            now = episode["seen"][t + 1]
            assert [now["place"], now["goal"]] == [
                knows.cells.index(maze.agent[0].tolist()),
                maze.goal_index.item(),
            ]
            assert sorted(now["places"]) == knows.belief.sum(0).nonzero().flatten().tolist(), (b, t)
            assert sorted(now["goals"]) == knows.belief.sum(1).nonzero().flatten().tolist(), (b, t)
            assert now["pairs"] == knows.belief.count_nonzero()
            assert now["place"] in now["places"]
            assert now["goal"] in now["goals"]
            most = max(most, len(now["places"]) * len(now["goals"]))
    assert most > F, "it happens that it knows neither"
