"""The grid maze: its rules as properties, and every step against a maze in plain Python numbers."""

import copy
import pickle
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from bpa import GridMaze
from bpa.maze import maze_walls

MOVES = [(-1, 0), (1, 0), (0, -1), (0, 1)]

mazes = st.builds(
    dict,
    size=st.integers(2, 8).map(lambda half: 2 * half + 1),
    batch_size=st.integers(1, 6),
    episode_length=st.integers(1, 40),
    reward=st.sampled_from([0.0, 1.0, 10.0, 2.5]),
    wall_penalty=st.sampled_from([0.0, 0.1, 3.0]),
)
seeds = st.integers(0, 2**32)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def float32(number):
    """The float32 nearest to a Python float, which is a float64."""
    return struct.unpack("f", struct.pack("f", number))[0]


class PlainMaze:
    """One episode, written from the rules with Python's own numbers: no tensor, no batch."""

    def __init__(self, size, episode_length, reward, wall_penalty):
        self.size, self.length, self.reward, self.penalty = size, episode_length, reward, wall_penalty
        self.free = [
            (row, column) for row in range(size) for column in range(size) if not self.is_wall(row, column)
        ]

    def is_wall(self, row, column):
        if (row, column) == (self.size // 2, self.size // 2):
            return False
        outer = row in (0, self.size - 1) or column in (0, self.size - 1)
        return outer or (row % 2 == 0 and column % 2 == 0)

    def chosen(self, uniform, forbidden):
        """The free cell that a uniform number picks among all but `forbidden`."""
        cells = [cell for cell in self.free if cell != forbidden]
        return cells[min(int(float32(uniform * len(cells))), len(cells) - 1)]

    def reset(self, uniform):
        self.agent = (self.size // 2, self.size // 2)
        self.goal = self.chosen(uniform, self.agent)
        self.time, self.last_reward, self.last_action = 0, 0.0, 0
        return self.sense()

    def step(self, action, uniform):
        row, column = self.agent[0] + MOVES[action][0], self.agent[1] + MOVES[action][1]
        gained = 0.0
        if self.is_wall(row, column):
            gained -= self.penalty
        else:
            self.agent = (row, column)
        if self.agent == self.goal:
            gained += self.reward
            self.agent = self.chosen(uniform, self.goal)
        self.time += 1
        self.last_reward, self.last_action = gained, action
        return self.sense(), gained, self.time == self.length

    def sense(self):
        row, column = self.agent
        seen = []
        for r in range(row - 1, row + 2):
            for c in range(column - 1, column + 2):
                seen.append(1.0 if self.is_wall(r, c) else 0.0)
        seen += [0.0, 1.0, self.time / self.length, self.last_reward]
        return seen + [1.0 if self.last_action == action else 0.0 for action in range(4)]


def test_walls_are_the_outer_wall_and_pillars_and_the_centre_is_free():
    drawn = ["".join("#" if wall else "." for wall in row) for row in maze_walls(7).tolist()]
    assert drawn == ["#######", "#.....#", "#.#.#.#", "#.....#", "#.#.#.#", "#.....#", "#######"]
    assert not maze_walls(9)[4, 4], "at size 9 the centre is even and would be a pillar"
    assert [(~maze_walls(n)).sum().item() for n in (5, 9, 11, 13)] == [9, 41, 65, 97]


@settings(deadline=None, max_examples=60)
@given(mazes, seeds)
def test_every_step_equals_the_plain_maze_on_the_same_uniform_numbers(settings_, seed):
    maze = GridMaze(**settings_, generator=seeded(seed))
    T, B = settings_["episode_length"], settings_["batch_size"]
    numbers = torch.rand(T + 1, B, generator=seeded(seed + 1))
    numbers[torch.rand(T + 1, B, generator=seeded(seed + 2)) < 0.05] = 1 - 2**-24  # the largest there is
    actions = torch.randint(4, (T, B), generator=seeded(seed + 3))
    kinds = {key: value for key, value in settings_.items() if key != "batch_size"}
    plain = [PlainMaze(**kinds) for _ in range(B)]

    observation = maze.reset(numbers[0])
    expected = [one.reset(numbers[0, b].item()) for b, one in enumerate(plain)]
    torch.testing.assert_close(observation, torch.tensor(expected))
    for t in range(T):
        observation, reward, done = maze.step(actions[t], numbers[t + 1])
        expected = [one.step(actions[t, b].item(), numbers[t + 1, b].item()) for b, one in enumerate(plain)]
        torch.testing.assert_close(observation, torch.tensor([seen for seen, _, _ in expected]))
        torch.testing.assert_close(reward, torch.tensor([gained for _, gained, _ in expected]))
        assert [done] * B == [over for _, _, over in expected]
        assert [tuple(cell) for cell in maze.agent.tolist()] == [one.agent for one in plain]
        assert [tuple(cell) for cell in maze.goal.tolist()] == [one.goal for one in plain]


@settings(deadline=None, max_examples=40)
@given(mazes, seeds)
def test_the_rules_hold_at_every_step(settings_, seed):
    maze = GridMaze(**settings_, generator=seeded(seed))
    observation = maze.reset()
    B = settings_["batch_size"]
    assert observation.shape == (B, 17)
    assert observation.dtype == torch.float32
    centre = torch.full((B, 2), settings_["size"] // 2)
    assert torch.equal(maze.agent, centre)
    assert (maze.goal != centre).any(1).all()
    goal = maze.goal.clone()
    for t in range(1, settings_["episode_length"] + 1):
        before = maze.agent.clone()
        actions = torch.randint(4, (B,), generator=maze.generator)
        observation, reward, done = maze.step(actions)
        assert torch.equal(maze.goal, goal), "the goal moved"
        assert not maze.walls[maze.agent[:, 0], maze.agent[:, 1]].any(), "an agent is in a wall"
        assert (maze.agent != maze.goal).any(1).all(), "an agent was put on its goal, or left there"
        ahead = before + torch.tensor(MOVES)[actions]
        blocked = maze.walls[ahead[:, 0], ahead[:, 1]]
        found = (ahead == goal).all(1)
        moved = (maze.agent - before).abs().sum(1)
        assert (moved[~found] == (~blocked[~found]).long()).all(), "a move is one cell, or none into a wall"
        assert (reward[found] == settings_["reward"]).all()
        assert (reward[blocked] == -torch.tensor(settings_["wall_penalty"])).all()
        assert (reward[~blocked & ~found] == 0).all()
        assert observation[:, 4].sum() == 0, "an agent's own cell is no wall"
        assert (observation[:, 9] == 0).all()
        assert (observation[:, 10] == 1).all()
        assert torch.equal(observation[:, 12], reward)
        assert torch.equal(observation[:, 13:].argmax(1), actions)
        assert done == (t == settings_["episode_length"])


def test_a_goal_is_uniform_over_the_free_cells_but_the_centre():
    maze = GridMaze(size=7, batch_size=40_000, generator=seeded(0))
    maze.reset()
    counts = torch.bincount(maze.goal[:, 0] * 7 + maze.goal[:, 1], minlength=49).reshape(7, 7)
    assert counts[3, 3] == 0
    free = ~maze.walls
    free[3, 3] = False
    assert counts[~free].sum() == 0
    assert chisquare(counts[free].numpy()).pvalue > 1e-3


@pytest.mark.parametrize("goal", [(1, 1), (3, 4), (5, 5)])
def test_a_teleport_is_never_onto_the_goal_and_uniform_over_the_other_free_cells(goal):
    B = 40_000
    maze = GridMaze(size=7, batch_size=B, generator=seeded(1))
    place = (maze.free_cells == torch.tensor(goal)).all(1).nonzero().item()
    place -= place > maze.centre_index.item()
    maze.reset(torch.full((B,), (place + 0.5) / (len(maze.free_cells) - 1)))
    assert (maze.goal == torch.tensor(goal)).all()
    # Every episode stands beside the goal, to its left or to its right, and steps onto it.
    side, action = (1, 2) if goal[1] == 1 else (-1, 3)
    maze.agent = maze.goal + torch.tensor([0, side])
    _, reward, _ = maze.step(torch.full((B,), action))
    assert (reward == 10).all()
    counts = torch.bincount(maze.agent[:, 0] * 7 + maze.agent[:, 1], minlength=49).reshape(7, 7)
    assert counts[goal] == 0
    free = ~maze.walls
    assert counts[~free].sum() == 0
    free[goal] = False
    assert chisquare(counts[free].numpy()).pvalue > 1e-3


def test_walking_into_a_wall_costs_the_penalty_and_reaching_the_goal_pays():
    maze = GridMaze(size=5, batch_size=2, reward=7.0, wall_penalty=0.25, generator=seeded(0))
    maze.reset(torch.tensor([0.0, 0.99]))  # goals at the first and the last free cell
    rewards = [maze.step(torch.tensor([0, 1]))[1].tolist(), maze.step(torch.tensor([0, 3]))[1].tolist()]
    assert rewards == [[0.0, 0.0], [-0.25, 7.0]]


@settings(deadline=None, max_examples=20)
@given(mazes, seeds)
def test_the_same_seed_gives_the_same_episodes(settings_, seed):
    def play(maze):
        seen = [maze.reset()]
        chosen = seeded(seed + 1)
        for _ in range(settings_["episode_length"]):
            seen.append(maze.step(torch.randint(4, (settings_["batch_size"],), generator=chosen))[0])
        return torch.stack(seen)

    first = play(GridMaze(**settings_, generator=seeded(seed)))
    global_state = torch.get_rng_state()
    assert torch.equal(first, play(GridMaze(**settings_, generator=seeded(seed))))
    assert torch.equal(global_state, torch.get_rng_state()), "the global generator was used"


def test_other_seeds_and_no_seed_give_other_episodes():
    def goals(generator):
        maze = GridMaze(batch_size=50, generator=generator)
        maze.reset()
        return maze.goal

    assert not torch.equal(goals(seeded(1)), goals(seeded(2)))
    assert not torch.equal(goals(None), goals(None))


def test_what_one_agent_does_never_changes_anothers_luck():
    maze = GridMaze(size=5, batch_size=2, episode_length=60, generator=seeded(3))
    other = GridMaze(size=5, batch_size=2, episode_length=60, generator=seeded(3))
    maze.reset(), other.reset()
    chosen = seeded(4)
    for _ in range(60):
        actions = torch.randint(4, (2,), generator=chosen)
        changed = torch.stack([actions[0], torch.randint(4, (), generator=chosen)])
        assert torch.equal(maze.step(actions)[0][0], other.step(changed)[0][0])


def test_what_a_step_returned_is_the_callers_to_change():
    maze = GridMaze(batch_size=3, wall_penalty=1.0, generator=seeded(0))
    maze.reset()
    actions = torch.tensor([0, 1, 2])
    observation, reward, _ = maze.step(actions)
    before = maze.observation()
    observation.fill_(9), reward.fill_(9), actions.fill_(3)
    assert torch.equal(maze.observation(), before)


def test_a_copied_or_pickled_maze_goes_on_as_the_original_does():
    maze = GridMaze(size=7, batch_size=4, generator=seeded(5))
    maze.reset()
    maze.step(torch.tensor([0, 1, 2, 3]))
    twins = copy.deepcopy(maze), pickle.loads(pickle.dumps(maze))
    for _ in range(30):
        actions = torch.randint(4, (4,), generator=seeded(maze.time))
        expected = maze.step(actions)[0]
        for twin in twins:
            assert torch.equal(twin.step(actions)[0], expected)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 10}, "size must be an odd number of at least 5, got 10"),
        ({"size": 3}, "size must be a whole number of at least 5, got 3"),
        ({"size": 11.0}, "size must be a whole number of at least 5, got 11.0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": True}, "batch_size must be a whole number of at least 1, got True"),
        ({"episode_length": -1}, "episode_length must be a whole number of at least 1, got -1"),
        ({"reward": -1.0}, "reward must be a finite number of at least 0, got -1.0"),
        ({"reward": float("nan")}, "reward must be a finite number of at least 0, got nan"),
        ({"wall_penalty": float("inf")}, "wall_penalty must be a finite number of at least 0, got inf"),
    ],
)
def test_a_wrong_setting_is_refused(wrong, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        GridMaze(**wrong)


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        (torch.tensor([0, 4]), "actions must be int64 from 0 to 3"),
        (torch.tensor([-1, 0]), "actions must be int64 from 0 to 3"),
        (torch.tensor([0.0, 1.0]), "actions must be int64 from 0 to 3"),
        (torch.tensor([0, 1, 2]), r"actions must have shape \[2\], got \[3\]"),
        ([0, 1], "actions must be a tensor"),
    ],
)
def test_wrong_actions_are_refused_and_nothing_moves(actions, said):
    maze = GridMaze(batch_size=2, generator=seeded(0))
    maze.reset()
    before = maze.observation()
    with pytest.raises(ValueError, match=said):
        maze.step(actions)
    assert torch.equal(maze.observation(), before)


def test_wrong_uniform_numbers_and_a_finished_episode_are_refused():
    maze = GridMaze(batch_size=2, episode_length=1, generator=seeded(0))
    with pytest.raises(RuntimeError, match="call reset"):
        maze.step(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="uniform must have shape"):
        maze.reset(torch.rand(3))
    with pytest.raises(ValueError, match=r"uniform must be torch\.float32"):
        maze.reset(torch.rand(2, dtype=torch.float64))
    maze.reset()
    assert maze.step(torch.tensor([0, 1]))[2]
    with pytest.raises(RuntimeError, match="call reset"):
        maze.step(torch.tensor([0, 1]))
