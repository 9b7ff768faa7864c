"""The maze for users of Gymnasium: its checker, its vector interfaces, and the maze it wraps."""

import copy
import pickle
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import bpa
from bpa import GridMaze
from bpa.gym import AGENT, FLOOR, GOAL, PIXELS, WALL, GridMazeEnv, GridMazeVectorEnv

kinds = st.builds(
    dict,
    size=st.sampled_from([5, 7, 9, 11]),
    episode_length=st.integers(1, 12),
    reward=st.sampled_from([0.0, 0.1, 10.0]),
    wall_penalty=st.sampled_from([0.0, 0.1, 2.0]),
)


@settings(max_examples=15)
@given(kinds)
def test_the_checker_has_nothing_to_say(kind):
    kind["episode_length"] += 1  # the checker takes an episode of one step for a mistake
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("bpa/GridMaze-v0", **kind).unwrapped)
        check_env(GridMazeEnv(**kind), skip_render_check=True)


@settings(max_examples=25)
@given(kinds, st.integers(0, 2**32))
def test_it_is_the_maze_on_the_same_uniform_numbers(kind, seed):
    env = gymnasium.make("bpa/GridMaze-v0", **kind)
    maze = GridMaze(batch_size=1, **kind)
    numbers = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    actions = torch.randint(4, (kind["episode_length"],), generator=torch.Generator().manual_seed(seed))

    def uniform():
        return torch.tensor([numbers.random(dtype=np.float32)])

    for episode in range(2):
        observation, info = env.reset(seed=seed if episode == 0 else None)
        assert np.array_equal(observation, maze.reset(uniform())[0])
        assert info == {}
        for action in actions:
            seen, gained, done = maze.step(action[None], uniform())
            observation, reward, terminated, truncated, info = env.step(action.item())
            assert env.observation_space.contains(observation)
            assert np.array_equal(observation, seen[0])
            assert (reward, terminated, truncated, info) == (gained.item(), False, done, {})
        assert truncated


@pytest.mark.parametrize(
    ("reward", "penalty", "low", "high"),
    [(10.0, 0.5, -0.5, 10.0), (0.0, 0.5, -0.5, 0.0), (0.0, 0.0, 0.0, 1.0)],
)
def test_the_spaces_are_those_of_the_rewards(reward, penalty, low, high):
    env = GridMazeEnv(reward=reward, wall_penalty=penalty)
    one = np.ones(17)
    one[12] = high
    assert env.observation_space.high.tolist() == one.tolist()
    one[:], one[12] = 0, low
    assert env.observation_space.low.tolist() == one.tolist()
    assert env.action_space == gymnasium.spaces.Discrete(4)
    envs = GridMazeVectorEnv(3, reward=reward, wall_penalty=penalty)
    assert envs.single_observation_space == env.observation_space
    assert envs.single_action_space == env.action_space


def play(envs, steps, seed):
    """Everything a vector environment returns, for random actions."""
    chosen = np.random.default_rng(seed)
    observation, _ = envs.reset(seed=seed)
    seen = [observation]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = envs.step(chosen.integers(4, size=envs.num_envs))
        seen += [observation, reward, terminated, truncated]
    envs.close()
    return seen


def test_the_native_batch_is_made_by_make_vec_and_repeats_itself():
    envs = gymnasium.make_vec("bpa/GridMaze-v0", num_envs=30, size=5, episode_length=6)
    assert isinstance(envs, GridMazeVectorEnv)
    seen = play(envs, 15, seed=1)
    again = play(gymnasium.make_vec("bpa/GridMaze-v0", num_envs=30, size=5, episode_length=6), 15, seed=1)
    other = play(gymnasium.make_vec("bpa/GridMaze-v0", num_envs=30, size=5, episode_length=6), 15, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(seen, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(seen, other, strict=True))
    assert sum(reward.sum() for reward in seen[2::4]) > 0
    for observation in seen[1::4]:
        assert envs.observation_space.contains(observation)
    assert envs.action_space.contains(np.full(30, 3))
    assert envs.metadata["render_modes"] == ["rgb_array", "ansi"]


def test_the_agents_of_a_batch_have_luck_of_their_own():
    envs = GridMazeVectorEnv(200, size=7)
    envs.reset(seed=0)
    assert len(envs.maze.goal.unique(dim=0)) > 15
    envs.maze.goal = envs.maze.agent + torch.tensor([-1, 0])  # one step up: all are teleported at once
    envs.step(np.zeros(200, dtype=np.int64))
    assert len(envs.maze.agent.unique(dim=0)) > 15


def test_what_a_step_returns_is_the_callers_own():
    envs = GridMazeVectorEnv(2, size=5, episode_length=2)
    envs.reset(seed=0)
    actions = np.array([0, 1])
    actions.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.step(actions)
        envs.step(actions)
    for _ in range(2):  # the step that begins new episodes, and the one after
        observation, reward, terminated, truncated, _ = envs.step(actions)
        expected = envs.maze.observation().numpy()
        terminated[:] = True
        assert not truncated.any()
        reward[:], observation[:] = 7, 7
        assert np.array_equal(envs.maze.observation().numpy(), expected)


@pytest.mark.parametrize("settings", [{}, {"reward": 3.0, "wall_penalty": 0.5}])
def test_one_native_episode_is_the_single_environment(settings):
    kind = {"size": 5, "episode_length": 6, **settings}
    native = play(GridMazeVectorEnv(1, **kind), 80, seed=3)
    single = play(gymnasium.vector.SyncVectorEnv([lambda: GridMazeEnv(**kind)]), 80, seed=3)
    assert max(native[2::4]) == kind.get("reward", 10.0), "the goal is reached"
    for ours, theirs in zip(native, single, strict=True):
        assert np.array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_own_batches_work_and_agree(mode):
    kind = {"num_envs": 3, "size": 5, "episode_length": 6}
    seen = play(gymnasium.make_vec("bpa/GridMaze-v0", vectorization_mode=mode, **kind), 10, seed=4)
    alone = [gymnasium.make("bpa/GridMaze-v0", size=5, episode_length=6) for _ in range(3)]
    first = np.stack([env.reset(seed=4 + k)[0] for k, env in enumerate(alone)])
    assert np.array_equal(seen[0], first)
    chosen = np.random.default_rng(4).integers(4, size=3)
    steps = [env.step(action) for env, action in zip(alone, chosen, strict=True)]
    assert np.array_equal(seen[1], np.stack([step[0] for step in steps]))


def test_autoreset_next_step():
    envs = GridMazeVectorEnv(2, size=5, episode_length=2)
    assert envs.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.NEXT_STEP
    envs.reset(seed=0)
    right = np.array([3, 3])
    assert not envs.step(right)[3].any()
    assert envs.step(right)[3].all()
    observation, reward, _, truncated, _ = envs.step(right)
    assert (observation[:, 11] == 0).all(), "a new episode begins at time 0"
    assert (observation[:, 13] == 1).all(), "the action was ignored"
    assert not reward.any()
    assert not truncated.any()
    assert (envs.step(right)[0][:, 11] == 0.5).all()


def test_autoreset_same_step():
    envs = GridMazeVectorEnv(2, size=5, episode_length=2, autoreset_mode="SameStep")
    twin = GridMazeVectorEnv(2, size=5, episode_length=2)
    envs.reset(seed=0), twin.reset(seed=0)
    right = np.array([3, 3])
    envs.step(right), twin.step(right)
    observation, reward, _, truncated, info = envs.step(right)
    last, gained, _, _, _ = twin.step(right)
    assert truncated.all()
    assert np.array_equal(reward, gained)
    assert np.array_equal(info["final_obs"], last)
    assert info["_final_obs"].all()
    assert info["final_info"] == {}
    assert info["_final_info"].all()
    assert not envs.reset(seed=0)[0][:, 11].any()
    assert envs.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.SAME_STEP
    assert GridMazeVectorEnv.metadata.get("autoreset_mode") is None
    assert np.array_equal(observation, twin.step(right)[0])


def test_autoreset_disabled():
    envs = GridMazeVectorEnv(2, episode_length=1, autoreset_mode=gymnasium.vector.AutoresetMode.DISABLED)
    envs.reset(seed=0)
    envs.step(np.array([0, 1]))
    with pytest.raises(RuntimeError, match="call reset"):
        envs.step(np.array([0, 1]))
    with pytest.raises(ValueError, match="reset_mask must be True everywhere"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    envs.reset(options={"reset_mask": np.array([True, True])})
    assert envs.step(np.array([0, 1]))[3].all()


def test_without_a_seed_the_reported_seed_repeats_the_episode():
    env = GridMazeEnv()
    env.reset()
    goal = env.maze.goal.tolist()
    twin = GridMazeEnv()
    twin.reset(seed=env.np_random_seed)
    assert twin.maze.goal.tolist() == goal


@pytest.mark.parametrize("make", [GridMazeEnv, lambda: GridMazeVectorEnv(4)])
def test_a_pickled_or_copied_environment_goes_on_as_the_original_does(make):
    env = make()
    env.reset(seed=5)
    twins = pickle.loads(pickle.dumps(env)), copy.deepcopy(env)
    for action in np.random.default_rng(0).integers(4, size=(50, 4)):
        action = action if isinstance(env, GridMazeVectorEnv) else action[0]
        expected = env.step(action)[0]
        for twin in twins:
            assert np.array_equal(twin.step(action)[0], expected)


def test_text_and_picture_show_the_maze():
    env = gymnasium.make("bpa/GridMaze-v0", size=5, render_mode="ansi")
    env.reset(seed=0)
    maze = env.unwrapped.maze
    text = env.render()
    lines = text.splitlines()
    assert [len(line) for line in lines] == [5] * 5
    assert lines[2][2] == "A"
    row, column = maze.goal[0].tolist()
    assert lines[row][column] == "G"
    assert text.count("#") == maze.walls.sum()
    assert text.count(".") == 9 - 2

    env = gymnasium.make("bpa/GridMaze-v0", size=5, render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8
    centres = picture[PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS]
    colours = {"#": WALL, ".": FLOOR, "G": GOAL, "A": AGENT}
    assert centres.tolist() == [[list(colours[letter]) for letter in line] for line in lines]

    row, column = (env.unwrapped.maze.agent[0] * PIXELS).tolist()
    cell = picture[row : row + PIXELS, column : column + PIXELS]
    disc = (cell == AGENT).all(-1)
    assert np.array_equal(disc, disc[::-1])
    assert np.array_equal(disc, disc[:, ::-1])
    assert np.array_equal(disc, disc.T)
    assert disc.sum() == pytest.approx(np.pi * (0.4 * PIXELS) ** 2, rel=0.05)
    assert (cell[~disc] == FLOOR).all()


def test_every_maze_of_a_batch_is_shown():
    envs = {
        mode: gymnasium.make_vec("bpa/GridMaze-v0", num_envs=4, size=7, render_mode=mode)
        for mode in ("ansi", "rgb_array")
    }
    for env in envs.values():
        env.reset(seed=1)
        for action in np.array([[0, 1, 2, 3], [0, 2, 2, 1]]):
            env.step(action)
    maze = envs["ansi"].maze
    assert len(maze.agent.unique(dim=0)) == 4
    assert (maze.goal[:, 0] != maze.goal[:, 1]).any()
    colours = {"#": WALL, ".": FLOOR, "G": GOAL, "A": AGENT}
    for k, (text, picture) in enumerate(zip(*(env.render() for env in envs.values()), strict=True)):
        lines = [["#" if wall else "." for wall in row] for row in maze.walls.tolist()]
        for letter, (row, column) in zip("GA", (maze.goal[k].tolist(), maze.agent[k].tolist()), strict=True):
            lines[row][column] = letter
        assert text == "".join("".join(line) + "\n" for line in lines)
        assert picture.shape == (7 * PIXELS, 7 * PIXELS, 3)
        centres = picture[PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS]
        assert centres.tolist() == [[list(colours[letter]) for letter in line] for line in lines]


def test_rendering_without_a_mode_warns_and_shows_nothing():
    for env in (GridMazeEnv(), GridMazeVectorEnv(2)):
        env.reset()
        with pytest.warns(UserWarning, match="render_mode"):
            assert env.render() is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 8}, "size must be an odd number of at least 5, got 8"),
        ({"episode_length": 0}, "episode_length must be"),
        ({"render_mode": "human"}, "render_mode must be one of 'rgb_array', 'ansi', got 'human'"),
        ({"wall_penalty": -1.0}, "wall_penalty must be"),
    ],
)
def test_wrong_settings_are_refused(wrong, said):
    for make in (GridMazeEnv, GridMazeVectorEnv):
        with pytest.raises(ValueError, match=said):
            make(**wrong)


def test_wrong_actions_seeds_and_modes_are_refused():
    env = GridMazeEnv()
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(0)
    env.reset()
    for action in (4, -1, 1.0, "up", np.array([1])):
        with pytest.raises(ValueError, match="action must be a whole number from 0 to 3"):
            env.step(action)
    envs = GridMazeVectorEnv(2)
    with pytest.raises(RuntimeError, match="call reset"):
        envs.step(np.array([0, 0]))
    envs.reset()
    for actions in (np.array([0, 4]), np.array([0.0, 1.0]), np.array([True, False]), np.array([0])):
        with pytest.raises(ValueError, match="actions must"):
            envs.step(actions)
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
        envs.reset(seed=-1)
    with pytest.raises(ValueError, match="num_envs must be a whole number of at least 1, got 0"):
        GridMazeVectorEnv(0)
    with pytest.raises(ValueError, match="autoreset_mode must be one of"):
        GridMazeVectorEnv(autoreset_mode="Never")


def test_importing_bpa_registers_the_environment_but_does_not_load_it():
    code = (
        "import sys, gymnasium, bpa; print('bpa/GridMaze-v0' in gymnasium.registry, 'bpa.gym' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False"]
    assert bpa.__all__
