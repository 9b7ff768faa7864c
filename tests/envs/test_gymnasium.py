"""Maze and cue task for users of Gymnasium: its checker, its vector interfaces, and what they wrap."""

import copy
import inspect
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
from bpa.envs.cue_reward import CueReward
from bpa.envs.gymnasium import (
    AGENT,
    FLOOR,
    GOAL,
    PIXELS,
    RIGHT,
    WALL,
    WRONG,
    CueRewardEnv,
    CueRewardVectorEnv,
    GridMazeEnv,
    GridMazeVectorEnv,
)

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


cue_kinds = st.builds(
    dict,
    num_cues=st.sampled_from([2, 4]),
    cue_bits=st.integers(2, 5),
    episode_length=st.integers(12, 20),
    reward=st.sampled_from([0.0, 1.0]),
    wrong_penalty=st.sampled_from([0.0, 0.5]),
    show_steps=st.integers(1, 2),
    pause_steps=st.integers(0, 2),
    jitter=st.integers(0, 1),
    pairing=st.sampled_from(["random", "dealt"]),
) | st.builds(
    dict,
    num_cues=st.sampled_from([2, 4, 6]),
    cue_bits=st.integers(3, 5),
    episode_length=st.integers(12, 20),
    reward=st.sampled_from([0.0, 1.0]),
    wrong_penalty=st.sampled_from([0.0, 1.0]),
    trials=st.just("published"),
)


@settings(max_examples=15)
@given(cue_kinds)
def test_the_checker_has_nothing_to_say_of_the_cue_task(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("bpa/CueReward-v0", **kind).unwrapped)
        check_env(CueRewardEnv(**kind), skip_render_check=True)


def drawn_from(seed):
    """A cue task's generator at the first reset with this seed, by Gymnasium's own rule for seeds."""
    numbers = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    return torch.Generator().manual_seed(int(numbers.integers(2**63)))


@settings(max_examples=15)
@given(cue_kinds, st.integers(0, 2**32), st.integers(1, 3))
def test_it_is_the_cue_task_on_the_same_draws(kind, seed, batch_size):
    env = gymnasium.make("bpa/CueReward-v0", **kind)
    envs = gymnasium.make_vec("bpa/CueReward-v0", num_envs=batch_size, **kind)
    T = kind["episode_length"]
    actions = np.random.default_rng(seed).integers(2, size=(T, batch_size))

    one = CueReward(batch_size=1, generator=drawn_from(seed), **kind)
    observation, info = env.reset(seed=seed)
    assert np.array_equal(observation, one.reset()[0])
    assert info == {"steps_since_reward": 0, "rewards_found": 0}
    since = found = 0
    for t in range(T):
        seen, gained, done = one.step(torch.from_numpy(actions[t, :1]))
        observation, reward, terminated, truncated, info = env.step(actions[t, 0])
        since, found = (0, found + 1) if reward > 0 else (since + 1, found)
        assert env.observation_space.contains(observation)
        assert np.array_equal(observation, seen[0])
        assert (reward, terminated, truncated) == (gained.item(), False, done)
        assert info == {"steps_since_reward": since, "rewards_found": found}
    assert truncated

    many = CueReward(batch_size=batch_size, generator=drawn_from(seed), **kind)
    assert np.array_equal(envs.reset(seed=seed)[0], many.reset())
    total = np.zeros(batch_size, dtype=np.int64)
    for t in range(T):
        seen, gained, done = many.step(torch.from_numpy(actions[t]))
        observation, reward, terminated, truncated, info = envs.step(actions[t])
        total += reward > 0
        assert envs.observation_space.contains(observation)
        assert np.array_equal(observation, seen)
        assert np.array_equal(reward, gained)
        assert reward.dtype == np.float64
        assert not terminated.any()
        assert truncated.tolist() == [done] * batch_size
        assert np.array_equal(info["rewards_found"], total)


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
        assert info == {"steps_since_reward": 0, "rewards_found": 0}
        for action in actions:
            seen, gained, done = maze.step(action[None], uniform())
            observation, reward, terminated, truncated, info = env.step(action.item())
            assert env.observation_space.contains(observation)
            assert np.array_equal(observation, seen[0])
            assert (reward, terminated, truncated) == (gained.item(), False, done)
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


def test_the_agents_of_a_batch_have_noise_of_their_own():
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


UNUSUAL = {  # no setting but `trials` has its default, nor the value of another
    GridMaze: {"size": 7, "episode_length": 31, "reward": 3.0, "wall_penalty": 0.5},
    CueReward: {"num_cues": 6, "cue_bits": 8, "episode_length": 83, "reward": 5.0, "wrong_penalty": 0.25}
    | {"show_steps": 2, "pause_steps": 3, "jitter": 4, "pairing": "dealt", "trials": "regular"},
}


@pytest.mark.parametrize(
    ("wrapper", "wrapped", "name"),
    [
        (GridMazeEnv, GridMaze, "maze"),
        (GridMazeVectorEnv, GridMaze, "maze"),
        (CueRewardEnv, CueReward, "cue_reward"),
        (CueRewardVectorEnv, CueReward, "cue_reward"),
    ],
)
def test_a_wrapper_takes_every_setting_of_what_it_wraps_and_hands_it_on(wrapper, wrapped, name):
    theirs = {key: value.default for key, value in inspect.signature(wrapped).parameters.items()}
    ours = {key: value.default for key, value in inspect.signature(wrapper).parameters.items()}
    of_the_batch = {"batch_size", "generator", "device"}
    of_gymnasium = {"num_envs", "render_mode", "autoreset_mode", "max_episode_steps"}
    shared = {key: value for key, value in theirs.items() if key not in of_the_batch}
    assert {key: value for key, value in ours.items() if key not in of_gymnasium} == shared
    made = getattr(wrapper(**UNUSUAL[wrapped]), name)
    assert {key: getattr(made, key) for key in shared} == UNUSUAL[wrapped]


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
    assert (info["final_info"]["steps_since_reward"] <= 2).all()
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
        "import sys, gymnasium, bpa; "
        "print('bpa/GridMaze-v0' in gymnasium.registry, 'bpa.envs.gymnasium' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False"]
    assert bpa.__all__


def test_info_counts_rewards_and_the_steps_since():
    env = gymnasium.make("bpa/GridMaze-v0", size=5, episode_length=200, wall_penalty=0.5)
    for seed in (0, 1):
        _, info = env.reset(seed=seed)
        assert info == {"steps_since_reward": 0, "rewards_found": 0}
        since = found = 0
        for action in np.random.default_rng(seed).integers(4, size=200):
            _, reward, _, _, info = env.step(action)
            since, found = (0, found + 1) if reward > 0 else (since + 1, found)
            assert info == {"steps_since_reward": since, "rewards_found": found}
            assert {type(value) for value in info.values()} == {int}
        assert found > 1


def same_info(ours, theirs):
    """Whether two infos hold the same keys, numbers, types and masks, nested ones too; final_obs by value."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, dict):
            same_info(ours[key], value)
        elif key == "final_obs":
            assert np.array_equal(np.stack(value), ours[key])
        else:
            assert np.array_equal(ours[key], value)
            assert ours[key].dtype == value.dtype


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_info_of_a_batch_is_what_gymnasium_gathers_from_single_environments(mode):
    kind = {"size": 5, "episode_length": 40, "wall_penalty": 0.5}
    ours = GridMazeVectorEnv(1, autoreset_mode=mode, **kind)
    mode = gymnasium.vector.AutoresetMode(mode)
    theirs = gymnasium.vector.SyncVectorEnv([lambda: GridMazeEnv(**kind)], autoreset_mode=mode)
    same_info(ours.reset(seed=3)[1], theirs.reset(seed=3)[1])
    most = 0
    for actions in np.random.default_rng(1).integers(4, size=(200, 1)):
        mine = ours.step(actions)[4]
        same_info(mine, theirs.step(actions)[4])
        most = max(most, mine["rewards_found"].max())
    assert most > 1


def test_info_of_a_batch_is_each_episodes_own():
    envs = GridMazeVectorEnv(50, size=5, episode_length=30)
    _, info = envs.reset(seed=0)
    total = np.zeros(50)
    for actions in np.random.default_rng(0).integers(4, size=(30, 50)):
        for array in info.values():
            array[:] = 1  # the caller's own
        _, reward, _, _, info = envs.step(actions)
        total += reward
        assert np.array_equal(info["rewards_found"], total / 10)
        assert ((info["steps_since_reward"] == 0) >= (reward > 0)).all()
    assert len(set(total)) > 2


@pytest.mark.parametrize("length", [3, 200, 300])
def test_the_length_of_an_episode_is_the_callers_and_in_the_spec(length):
    env = gymnasium.make("bpa/GridMaze-v0", size=5, episode_length=length)
    again = gymnasium.make(env.spec)
    envs = gymnasium.make_vec("bpa/GridMaze-v0", num_envs=2, size=5, episode_length=length)
    sync = gymnasium.make_vec("bpa/GridMaze-v0", 2, vectorization_mode="sync", size=5, episode_length=length)
    assert {one.spec.max_episode_steps for one in (env, again, envs, *sync.envs)} == {length}
    assert gymnasium.make("bpa/GridMaze-v0").spec.max_episode_steps == 200
    assert GridMazeEnv().spec is None
    for one in (env, again, envs, gymnasium.make_vec(envs.spec), sync):
        one.reset(seed=0)
        actions = env.action_space.sample() if isinstance(one, gymnasium.Env) else np.array([0, 1])
        cut = [one.step(actions)[3] for _ in range(length)]
        assert not np.any(cut[:-1])
        assert np.all(cut[-1])


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_gymnasiums_limit_cuts_episodes_shorter_and_never_makes_them_longer(mode):
    env = gymnasium.make("bpa/GridMaze-v0", size=5, episode_length=10, max_episode_steps=4)
    assert env.spec.max_episode_steps == 4
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(4)] == [False, False, False, True]
    make = "bpa/GridMaze-v0"
    envs = gymnasium.make_vec(make, 2, size=5, episode_length=10, max_episode_steps=4, autoreset_mode=mode)
    assert envs.spec.max_episode_steps == 4
    envs.reset(seed=0)
    seen = [envs.step(np.array([0, 1])) for _ in range(4)]
    assert [step[3].tolist() for step in seen] == [[False, False]] * 3 + [[True, True]]
    if mode == "Disabled":
        with pytest.raises(RuntimeError, match="call reset"):
            envs.step(np.array([0, 1]))
    elif mode == "SameStep":
        assert (seen[3][0][:, 11] == 0).all()
        assert (seen[3][4]["final_obs"][:, 11] == np.float32(0.4)).all()
    else:
        assert (envs.step(np.array([0, 1]))[0][:, 11] == 0).all()
    longer = gymnasium.make_vec(make, 2, size=5, episode_length=3, max_episode_steps=9)
    longer.reset(seed=0)
    assert [longer.step(np.array([0, 1]))[3].all() for _ in range(3)] == [False, False, True]
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="max_episode_steps must be a whole number of at least 1"):
            GridMazeVectorEnv(2, max_episode_steps=wrong)


def made_by_name():
    """For a spawned worker, which has not imported `bpa`."""
    return gymnasium.make("bpa:bpa/GridMaze-v0", size=5)


def test_a_process_that_has_not_imported_bpa_makes_it_by_its_full_name():
    code = (
        "import gymnasium; env = gymnasium.make('bpa:bpa/GridMaze-v0', size=5);"
        "print(env.reset(seed=0)[0].sum());"
        "print(gymnasium.make_vec('bpa:bpa/GridMaze-v0', num_envs=3, size=5).reset(seed=0)[0].shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == [str(made_by_name().reset(seed=0)[0].sum()), "(3, 17)"]


def test_spawned_workers_make_it_by_its_full_name(tmp_path):
    script = tmp_path / "spawned.py"
    script.write_text(
        "import gymnasium\n"
        "def made_by_name():\n"
        "    return gymnasium.make('bpa:bpa/GridMaze-v0', size=5)\n"
        "if __name__ == '__main__':\n"
        "    envs = gymnasium.vector.AsyncVectorEnv([made_by_name], context='spawn')\n"
        "    print(envs.reset(seed=4)[0].tolist())\n"
        "    envs.close()\n",
        encoding="utf-8",
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    here = gymnasium.vector.SyncVectorEnv([made_by_name])
    assert run.stdout.strip() == str(here.reset(seed=4)[0].tolist())


def test_gymnasiums_wrappers_for_batches_count_what_we_count():
    envs = gymnasium.make_vec("bpa/GridMaze-v0", num_envs=20, size=5, episode_length=30)
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
    envs.reset(seed=0)
    for actions in np.random.default_rng(0).integers(4, size=(30, 20)):
        info = envs.step(actions)[4]
    assert np.array_equal(info["episode"]["r"], 10 * info["rewards_found"])
    assert info["episode"]["l"].tolist() == [30] * 20
    assert info["rewards_found"].sum() > 0


def test_the_spaces_of_the_cue_task_are_those_of_its_rewards():
    env = CueRewardEnv(cue_bits=3, reward=2.0, wrong_penalty=0.5)
    assert env.observation_space.low.tolist() == [-1, -1, -1, 0, 0, 0, -0.5, 0, 0]
    assert env.observation_space.high.tolist() == [1, 1, 1, 1, 1, 1, 2, 1, 1]
    assert env.action_space == gymnasium.spaces.Discrete(2)
    envs = CueRewardVectorEnv(3, cue_bits=3, reward=2.0, wrong_penalty=0.5)
    assert envs.single_observation_space == env.observation_space
    assert envs.action_space == gymnasium.spaces.MultiDiscrete([2, 2, 2])
    assert CueRewardEnv(reward=0.0).observation_space.high[-3] == 1


def play_cues(envs, steps, seed):
    """Everything a vector environment returns, for random answers."""
    chosen = np.random.default_rng(seed)
    seen = [envs.reset(seed=seed)[0]]
    for _ in range(steps):
        seen += envs.step(chosen.integers(2, size=envs.num_envs))[:4]
    envs.close()
    return seen


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_one_native_cue_episode_is_the_single_environment_in_each_mode(mode):
    kind = {"cue_bits": 4, "episode_length": 14, "wrong_penalty": 0.5}
    ours = CueRewardVectorEnv(1, autoreset_mode=mode, **kind)
    mode = gymnasium.vector.AutoresetMode(mode)
    theirs = gymnasium.vector.SyncVectorEnv([lambda: CueRewardEnv(**kind)], autoreset_mode=mode)
    same_info(ours.reset(seed=3)[1], theirs.reset(seed=3)[1])
    for actions in np.random.default_rng(1).integers(2, size=(50, 1)):
        mine, gathered = ours.step(actions), theirs.step(actions)
        for one, other in zip(mine[:4], gathered[:4], strict=True):
            assert np.array_equal(one, other)
            assert one.dtype == other.dtype
        same_info(mine[4], gathered[4])


@pytest.mark.parametrize("mode", ["sync", "async", "vector_entry_point"])
def test_batches_of_cue_tasks_repeat_themselves(mode):
    def make():
        kind = {"num_envs": 3, "cue_bits": 4, "episode_length": 10}
        return gymnasium.make_vec("bpa/CueReward-v0", vectorization_mode=mode, **kind)

    seen, again, other = play_cues(make(), 15, 1), play_cues(make(), 15, 1), play_cues(make(), 15, 2)
    assert all(np.array_equal(a, b) for a, b in zip(seen, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(seen, other, strict=True))
    assert len({str(row) for row in seen[0][:, :4].tolist()}) > 1, "each has cues of its own"


def test_the_cue_task_ends_as_its_mode_and_limit_say():
    envs = CueRewardVectorEnv(2, episode_length=12, autoreset_mode="Disabled")
    envs.reset(seed=0)
    for t in range(12):
        assert envs.step(np.array([0, 1]))[3].all() == (t == 11)
    with pytest.raises(RuntimeError, match="call reset"):
        envs.step(np.array([0, 1]))
    with pytest.raises(ValueError, match="reset_mask must be True everywhere"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    name = "bpa/CueReward-v0"
    assert gymnasium.make(name, episode_length=50).spec.max_episode_steps == 50
    for env in (gymnasium.make(name, max_episode_steps=4), gymnasium.make_vec(name, 1, max_episode_steps=4)):
        assert env.spec.max_episode_steps == 4
        env.reset(seed=0)
        action = 0 if isinstance(env, gymnasium.Env) else np.array([0])
        assert [bool(env.step(action)[3]) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("make", [CueRewardEnv, lambda: CueRewardVectorEnv(4)])
def test_a_pickled_or_copied_cue_task_goes_on_as_the_original_does(make):
    env = make()
    env.reset(seed=5)
    twins = pickle.loads(pickle.dumps(env)), copy.deepcopy(env)
    for episode in range(2):
        for action in np.random.default_rng(episode).integers(2, size=(8, 4)):
            action = action if isinstance(env, CueRewardVectorEnv) else action[0]
            expected = env.step(action)[0]
            for twin in twins:
                assert np.array_equal(twin.step(action)[0], expected)
        first = env.reset()[0]
        assert all(np.array_equal(twin.reset()[0], first) for twin in twins)


@pytest.mark.parametrize("cue_bits", [2, 6])
def test_text_and_picture_show_what_is_shown_asked_and_answered(cue_bits):
    kind = {"num_cues": 4, "cue_bits": cue_bits, "episode_length": 60, "num_envs": 3}
    text = CueRewardVectorEnv(render_mode="ansi", **kind)
    picture = CueRewardVectorEnv(render_mode="rgb_array", **kind)
    text.reset(seed=0), picture.reset(seed=0)
    task = text.cue_reward
    colour = {"+": AGENT, "-": WALL, ".": FLOOR}
    answers = set()
    for actions in np.random.default_rng(0).integers(2, size=(60, 3)):
        t = task.time
        text.step(actions), picture.step(actions)
        for b, (words, image) in enumerate(zip(text.render(), picture.render(), strict=True)):
            bits = task.shown[t + 1, b].tolist() if t < 59 else [0.0] * cue_bits
            letters = "".join({1.0: "+", -1.0: "-", 0.0: "."}[bit] for bit in bits)
            target = bits == task.cues[b, task.target[b]].tolist()
            asked = t < 59 and task.answers[t + 1, b] >= 0
            due = task.answers[t, b].item()
            said = "-"
            if due >= 0:
                said = ("no", "yes")[actions[b]] + (", right" if actions[b] == due else ", wrong")
            answers.add(said)
            assert words.splitlines() == [
                f"cue:    {letters}" + (" (the target)" if target else ""),
                "go:     " + ("was the target one of the two?" if asked else "-"),
                f"answer: {said}",
            ]
            assert image.dtype == np.uint8
            assert image.shape == (2 * PIXELS, max(cue_bits, 4) * PIXELS, 3)
            cells = image[PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS].tolist()
            assert cells[0][:cue_bits] == [list(colour[letter]) for letter in letters]
            assert cells[1][:4] == [
                list(GOAL if target else FLOOR),
                list(GOAL if asked else FLOOR),
                list({"y": AGENT, "n": WALL, "-": FLOOR}[said[0]]),
                list(FLOOR if due < 0 else RIGHT if actions[b] == due else WRONG),
            ]
            assert (image == np.repeat(np.repeat(cells, PIXELS, 0), PIXELS, 1)).all()
    assert answers == {"-", "no, right", "no, wrong", "yes, right", "yes, wrong"}
    with pytest.warns(UserWarning, match="render_mode"):
        assert CueRewardEnv().render() is None
    with pytest.raises(RuntimeError, match="call reset"):
        CueRewardEnv(render_mode="ansi").render()


def test_wrong_settings_actions_and_seeds_of_the_cue_task_are_refused():
    for wrong, said in (
        ({"num_cues": 1}, "num_cues must be"),
        ({"episode_length": 5}, "episode_length must be a whole number of at least 6"),
        ({"render_mode": "human"}, "render_mode must be one of 'rgb_array', 'ansi', got 'human'"),
    ):
        for make in (CueRewardEnv, CueRewardVectorEnv):
            with pytest.raises(ValueError, match=said):
                make(**wrong)
    with pytest.raises(ValueError, match="num_envs must be a whole number of at least 1, got 0"):
        CueRewardVectorEnv(0)
    env, envs = CueRewardEnv(), CueRewardVectorEnv(2)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(0)
    env.reset(), envs.reset()
    with pytest.raises(ValueError, match="action must be a whole number from 0 to 1, got 2"):
        env.step(2)
    with pytest.raises(ValueError, match="actions must be 2 whole numbers from 0 to 1, got 2"):
        envs.step(np.array([0, 2]))
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
        env.reset(seed=-1)


def test_spawned_workers_make_the_cue_task_by_its_full_name(tmp_path):
    script = tmp_path / "spawned.py"
    script.write_text(
        "import gymnasium\n"
        "def made_by_name():\n"
        "    return gymnasium.make('bpa:bpa/CueReward-v0', cue_bits=5)\n"
        "if __name__ == '__main__':\n"
        "    envs = gymnasium.vector.AsyncVectorEnv([made_by_name], context='spawn')\n"
        "    print(envs.reset(seed=4)[0].tolist())\n"
        "    envs.close()\n",
        encoding="utf-8",
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(CueRewardVectorEnv(1, cue_bits=5).reset(seed=4)[0].tolist())
