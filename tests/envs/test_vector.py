"""Gymnasium's vector environments as ours: whole episodes, whatever their lengths and automatic resets."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import DiscretizeAction, FlattenObservation
from gymnasium.wrappers.vector import FlattenObservation as FlattenObservations
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import bpa
from bpa import GridMaze
from bpa.envs import from_gymnasium
from bpa.envs.gymnasium import CueRewardVectorEnv, GridMazeEnv, GridMazeVectorEnv
from bpa.envs.vector import SeedNoise

MODES = ["NextStep", "SameStep", "Disabled"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def maker(lengths, start=5, dtype=np.float32, wrong=None):
    """Makers of environments that end after so many steps, terminated if their number is odd, else truncated.

    They sense a number of their episode, drawn at reset, the steps so far, and the last action; the reward is
    that action. `wrong` stands in the place of the first number from the second episode on.
    """

    class Counted(gymnasium.Env):  # in here, so that workers are sent the class itself
        def __init__(self, length):
            self.length, self.episode = length, 0
            self.observation_space = spaces.Box(-1000, 1000, (3,), dtype)
            self.action_space = spaces.Discrete(3, start=start)

        def sense(self, action):
            number = self.number if wrong is None or self.episode == 1 else wrong
            return np.array([number, self.time, action], dtype=dtype)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.time, self.number = 0, self.np_random.integers(1, 1000)
            self.episode = 1 if seed is not None else self.episode + 1
            return self.sense(0), {}

        def step(self, action):
            assert self.action_space.contains(action)
            assert self.time < self.length, "nothing steps an episode that is over"
            self.time += 1
            over = self.time == self.length
            odd = self.length % 2 == 1
            return self.sense(action), float(action), over and odd, over and not odd, {}

    return [lambda length=length: Counted(length) for length in lengths]


def by_hand(makers, seed, actions):
    """What each single environment says on its own, with what follows its end filled up."""
    T, B = actions.shape
    observations, rewards = torch.zeros(T + 1, B, 3), torch.zeros(T, B)
    done, cut = torch.ones(T, B, dtype=torch.bool), torch.zeros(T, B, dtype=torch.bool)
    for b, make in enumerate(makers):
        env = make()
        observations[:, b] = torch.from_numpy(env.reset(seed=seed + b)[0].astype(np.float32))
        for t in range(T):
            sensed, reward, terminated, truncated, _ = env.step(int(actions[t, b]) + env.action_space.start)
            observations[t + 1 :, b] = torch.from_numpy(sensed.astype(np.float32))
            rewards[t, b] = reward
            cut[t, b] = not terminated and (truncated or t == T - 1)
            if terminated or truncated:
                break
            done[t, b] = t == T - 1
    return observations, rewards, done, cut


def same_episodes(env, noise, actions, expected):
    """Whether an environment of ours says what is expected, until all is over."""
    observations, rewards, done, cut = expected
    assert torch.equal(env.reset(noise), observations[0])
    assert env.time_limit() is None
    for t in range(len(actions)):
        sensed, reward, over = env.step(actions[t])
        assert (sensed.dtype, reward.dtype, over.dtype) == (torch.float32, torch.float32, torch.bool)
        assert torch.equal(sensed, observations[t + 1])
        assert torch.equal(reward, rewards[t])
        assert torch.equal(over, done[t])
        if env.bootstrap and cut[t].any():
            which, last = env.time_limit()
            assert torch.equal(which, cut[t])
            assert torch.equal(last, observations[t + 1])
        else:
            assert env.time_limit() is None
        if over.all():
            break
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(actions[0])
    return t + 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", [SyncVectorEnv, AsyncVectorEnv])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_episodes_of_unequal_length_are_those_of_each_environment_alone(make, mode, bootstrap):
    makers = maker([1, 2, 3, 5, 20])  # the first two end often enough to be reset again and again
    vector_env = make(makers, autoreset_mode=mode)
    env = from_gymnasium(vector_env, episode_length=8, bootstrap=bootstrap, generator=seeded(0))
    assert (env.observation_size, env.num_actions, env.batch_size, env.episode_length) == (3, 3, 5, 8)
    assert env.device == torch.device("cpu")
    for episode in range(3):  # what was left of the last one does not show in the next
        noise = env.sample_noise()
        actions = torch.randint(3, (8, 5), generator=seeded(episode))
        expected = by_hand(makers, noise.seed.item(), actions)
        assert same_episodes(env, noise, actions, expected) == 8
        assert expected[2].sum(0).tolist() == [8, 7, 6, 4, 1]
        assert expected[3].sum(0).tolist() == [0, 1, 0, 0, 1], "an odd length is a termination"
    vector_env.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_is_over_as_soon_as_all_its_episodes_are(mode):
    makers = maker([2, 3, 1])
    env = from_gymnasium(SyncVectorEnv(makers, autoreset_mode=mode), 50, bootstrap=True)
    for _ in range(2):
        noise = env.sample_noise()
        actions = torch.randint(3, (50, 3), generator=seeded(1))
        assert same_episodes(env, noise, actions, by_hand(makers, noise.seed.item(), actions)) == 3


def test_an_episode_that_ends_in_the_last_step_is_not_cut_off_if_it_is_terminated():
    env = from_gymnasium(SyncVectorEnv(maker([3, 4, 2])), 3, bootstrap=True)
    env.reset()
    cuts = []
    for _ in range(3):
        done = env.step(torch.tensor([0, 1, 2]))[2]
        cuts.append(None if env.time_limit() is None else env.time_limit()[0].tolist())
    assert done.all()
    assert cuts == [None, [False, False, True], [False, True, False]]
    assert env.reset().shape == (3, 3)
    assert env.time_limit() is None


@pytest.mark.parametrize("start", [0, 1, -2])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.float16])
def test_actions_begin_where_the_space_says_and_observations_become_float32(start, dtype):
    makers = maker([4, 7], start=start, dtype=dtype)
    env = from_gymnasium(SyncVectorEnv(makers), 6)
    noise = env.sample_noise()
    actions = torch.tensor([[0, 2], [1, 1], [2, 0], [0, 0], [1, 2], [2, 1]])
    same_episodes(env, noise, actions, by_hand(makers, noise.seed.item(), actions))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", [None, 4])
def test_our_own_maze_as_a_foreigner_is_the_maze(mode, limit):
    kind = {"size": 5, "episode_length": 6, "wall_penalty": 0.5}
    made = gymnasium.make_vec("bpa/GridMaze-v0", 4, autoreset_mode=mode, max_episode_steps=limit, **kind)
    env = from_gymnasium(made, bootstrap=True, generator=seeded(0))
    maze = GridMaze(batch_size=4, **kind)
    T = limit or 6
    assert (env.observation_size, env.num_actions, env.batch_size, env.episode_length) == (17, 4, 4, T)
    for episode in range(2):
        noise = env.sample_noise()
        numbers = np.random.Generator(np.random.PCG64(np.random.SeedSequence(noise.seed.item())))
        assert torch.equal(
            env.reset(noise), maze.reset(torch.from_numpy(numbers.random(4, dtype=np.float32)))
        )
        for t, actions in enumerate(torch.randint(4, (T, 4), generator=seeded(episode))):
            uniform = torch.from_numpy(numbers.random(4, dtype=np.float32))
            expected, reward, _ = maze.step(actions, uniform)
            sensed, gained, done = env.step(actions)
            assert torch.equal(sensed, expected)
            assert torch.equal(gained, reward)
            assert done.tolist() == [t == T - 1] * 4
        which, last = env.time_limit()
        assert which.all()
        assert torch.equal(last, expected)


@pytest.mark.parametrize("how", ["sync", "async", "vector_entry_point", "by hand"])
def test_poles_fall_at_different_times_and_the_same_noise_repeats_them(how):
    if how == "by hand":
        vector_env = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 4)
    else:
        vector_env = gymnasium.make_vec("CartPole-v1", num_envs=4, vectorization_mode=how)
    env = from_gymnasium(vector_env, generator=seeded(3))
    assert (env.observation_size, env.num_actions, env.batch_size, env.episode_length) == (4, 2, 4, 500)
    noise = env.sample_noise()

    def episodes(noise, shown):
        """All that is sensed until the last pole has fallen; `shown` is the action after an episode's end."""
        seen, done = [env.reset(noise)], torch.zeros(4, dtype=torch.bool)
        total, steps = torch.zeros(4), torch.zeros(4)
        for t in range(500):
            steps += ~done
            actions = torch.where(done, shown, (noise.action[t] < 0.5).long())
            observation, reward, done = env.step(actions)
            total += reward
            seen.append(observation)
            if done.all():
                break
        assert torch.equal(total, steps), "a reward of 1 for each step until the pole falls"
        assert len(set(steps.tolist())) > 1
        return torch.stack(seen)

    first, again, other = episodes(noise, 0), episodes(noise, 1), episodes(env.sample_noise(), 0)
    assert torch.equal(first, again), "what would be done after the end changes nothing"
    assert not torch.equal(first[0], other[0])
    vector_env.close()


@pytest.mark.parametrize("mode", MODES)
def test_where_an_episode_is_over_the_first_action_is_taken_whatever_is_asked_for(mode):
    taken = []

    class Recording(SyncVectorEnv):
        def step(self, actions):
            taken.append(actions.tolist())
            return super().step(actions)

    env = from_gymnasium(Recording(maker([2, 4], start=5), autoreset_mode=mode), 4)
    env.reset()
    for _ in range(4):
        env.step(torch.tensor([2, 1]))
    assert taken == [[7, 6], [7, 6], [5, 6], [5, 6]]


def test_noise_comes_from_the_generator_and_serves_a_whole_batch():
    vector_env = SyncVectorEnv(maker([3, 5]))
    env, twin = (from_gymnasium(vector_env, 4, generator=seeded(7)) for _ in range(2))
    noise = env.sample_noise()
    assert noise.action.shape == (4, 2)
    assert (noise.seed.shape, noise.seed.dtype) == ((), torch.int64)
    assert all(torch.equal(a, b) for a, b in zip(noise, twin.sample_noise(), strict=True))
    assert not torch.equal(noise.action, env.sample_noise().action)
    with pytest.raises(ValueError, match="cannot be sharded: one seed serves the whole batch"):
        noise.shard(slice(0, 1))

    state = torch.get_rng_state()
    first = env.reset()
    assert not torch.equal(first, env.reset()), "each reset draws a seed of its own"
    assert torch.equal(state, torch.get_rng_state()), "no global state is touched"
    one, other = (from_gymnasium(vector_env, 4, generator=seeded(8)).reset() for _ in range(2))
    assert torch.equal(one, other)


def test_what_a_step_returns_is_the_callers_own():
    env = from_gymnasium(SyncVectorEnv(maker([1, 4]), copy=False), 4, bootstrap=True)
    noise = env.sample_noise()
    actions = torch.tensor([0, 1])
    first = env.reset(noise)
    kept = first.clone()
    for _ in range(3):
        sensed, reward, done = env.step(actions)
        now = env.observation.clone(), env.done.clone()
        sensed.fill_(7), reward.fill_(7), done.fill_(True)
        assert torch.equal(env.observation, now[0])
        assert torch.equal(env.done, now[1])
    assert torch.equal(first, kept)
    env.step(actions)
    which, last = env.time_limit()
    which.fill_(False), last.fill_(7)
    assert env.time_limit()[0].any()
    assert (env.time_limit()[1] != 7).any()
    assert actions.tolist() == [0, 1]


@pytest.mark.parametrize("mode", MODES)
def test_wrappers_for_batches_go_between(mode):
    makers = maker([2, 3, 6])
    env = from_gymnasium(
        RecordEpisodeStatistics(SyncVectorEnv(makers, autoreset_mode=mode)), 5, bootstrap=True
    )
    for _ in range(2):
        noise = env.sample_noise()
        actions = torch.randint(3, (5, 3), generator=seeded(1))
        same_episodes(env, noise, actions, by_hand(makers, noise.seed.item(), actions))


class Spaces(gymnasium.Env):
    """An environment with any spaces, of which nothing is asked but its spaces and first observation."""

    def __init__(self, observation=None, action=None):
        self.observation_space = spaces.Box(-1, 1, (3,)) if observation is None else observation
        self.action_space = spaces.Discrete(2) if action is None else action

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Box(0, 1, (3, 3)), "flat Box of shape .I., got Box.*gymnasium.wrappers.FlattenObservation"),
        (spaces.Box(0, 1, ()), "flat Box"),
        (spaces.Box(0, 1, (0,)), "flat Box"),
        (spaces.Discrete(5), r"flat Box of shape \[I\], got Discrete\(5\)"),
        (spaces.Dict({"a": spaces.Box(0, 1, (2,)), "b": spaces.Discrete(3)}), "FlattenObservation"),
    ],
)
def test_observations_that_are_no_flat_box_are_refused_with_what_helps(space, said):
    with pytest.raises(ValueError, match=said):
        from_gymnasium(SyncVectorEnv([lambda: Spaces(space)] * 2), 5)
    if not isinstance(space, spaces.Box) or space.shape != (0,):
        env = from_gymnasium(SyncVectorEnv([lambda: FlattenObservation(Spaces(space))] * 2), 5)
        assert env.reset().shape == (2, spaces.flatdim(space))
    if isinstance(space, spaces.Box) and len(space.shape) == 2:
        env = from_gymnasium(FlattenObservations(SyncVectorEnv([lambda: Spaces(space)] * 2)), 5)
        assert env.reset().shape == (2, 9)


@pytest.mark.parametrize(
    "space", [spaces.MultiDiscrete([2, 3]), spaces.Box(-1, 1, (1,)), spaces.MultiBinary(3)]
)
def test_actions_that_are_not_discrete_are_refused_with_what_helps(space):
    with pytest.raises(ValueError, match=r"env must have Discrete actions, got .*gymnasium"):
        from_gymnasium(SyncVectorEnv([lambda: Spaces(action=space)] * 2), 5)
    if isinstance(space, spaces.Box):
        made = SyncVectorEnv([lambda: DiscretizeAction(Spaces(action=space), bins=4)] * 2)
        assert from_gymnasium(made, 5).num_actions == 4


def closed():
    env = SyncVectorEnv(maker([3]))
    env.close()
    return env


def silent():
    env = SyncVectorEnv(maker([3]))
    del env.metadata["autoreset_mode"]
    return env


@pytest.mark.parametrize(
    ("make", "arguments", "said"),
    [
        (lambda: gymnasium.make("CartPole-v1"), {}, "got a single one.*make_vec"),
        (lambda: GridMaze(size=5), {}, "env must be a vector environment of Gymnasium, got GridMaze"),
        (lambda: None, {}, "env must be a vector environment of Gymnasium, got NoneType"),
        (closed, {"episode_length": 3}, "env must be open"),
        (silent, {"episode_length": 3}, r"env.metadata\['autoreset_mode'\] must be one of .*, got None"),
        (lambda: SyncVectorEnv(maker([3])), {}, "episode_length must be given"),
        (lambda: SyncVectorEnv(maker([3])), {"episode_length": 0}, "episode_length must be a whole number"),
        (lambda: SyncVectorEnv(maker([3])), {"episode_length": 2.5}, "episode_length must be a whole number"),
        (lambda: GridMazeVectorEnv(2), {"episode_length": 0}, "episode_length must be a whole number"),
        (
            lambda: SyncVectorEnv(maker([3])),
            {"episode_length": 3, "bootstrap": 1},
            "bootstrap must be True or",
        ),
        (
            lambda: SyncVectorEnv(maker([3])),
            {"episode_length": 3, "generator": 1},
            "generator must be a torch",
        ),
    ],
)
def test_what_does_not_fit_is_refused_at_the_door(make, arguments, said):
    with pytest.raises(ValueError, match=said):
        from_gymnasium(make(), **arguments)


def test_workers_without_shared_memory_are_refused_where_gymnasium_forgets_their_resets():
    for mode in MODES:
        vector_env = AsyncVectorEnv(maker([2, 3]), shared_memory=False, autoreset_mode=mode)
        if mode == "NextStep":
            with pytest.raises(ValueError, match="env must have shared_memory=True"):
                from_gymnasium(vector_env, 4)
        else:
            env = from_gymnasium(vector_env, 3)
            for _ in range(2):
                noise = env.sample_noise()
                actions = torch.ones(3, 2, dtype=torch.int64)
                same_episodes(env, noise, actions, by_hand(maker([2, 3]), noise.seed.item(), actions))
        vector_env.close()


def test_the_length_is_the_environments_own_or_less():
    assert (
        from_gymnasium(gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")).episode_length == 500
    )
    assert from_gymnasium(gymnasium.make_vec("CartPole-v1", 2, max_episode_steps=30)).episode_length == 30
    sync = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync", max_episode_steps=30)
    assert from_gymnasium(sync).episode_length == 30
    assert from_gymnasium(sync, 20).episode_length == 20
    assert from_gymnasium(gymnasium.make_vec("bpa/CueReward-v0", 2, episode_length=50)).episode_length == 50
    with pytest.raises(ValueError, match="episode_length must be a whole number from 1 to 30, got 31"):
        from_gymnasium(sync, 31)
    unlimited = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync", max_episode_steps=-1)
    with pytest.raises(ValueError, match="episode_length must be given"):
        from_gymnasium(unlimited)
    mixed = [lambda steps=steps: gymnasium.make("CartPole-v1", max_episode_steps=steps) for steps in (20, 40)]
    assert from_gymnasium(SyncVectorEnv(mixed)).episode_length == 40
    by_hand = SyncVectorEnv([GridMazeEnv])
    with pytest.raises(ValueError, match="episode_length must be given"):
        from_gymnasium(by_hand)
    assert from_gymnasium(by_hand, np.int64(7)).episode_length == 7


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused_where_they_count(wrong):
    class Broken(Spaces):
        def __init__(self, place):
            super().__init__(spaces.Box(-np.inf, np.inf, (3,), np.float64))
            self.place = place

        def reset(self, *, seed=None, options=None):
            return np.array([0, wrong if self.place == "reset" else 0, 0]), {}

        def step(self, action):
            sensed = np.array([0, 0, wrong if self.place == "step" else 0])
            return sensed, wrong if self.place == "reward" else 0.0, False, False, {}

    whole = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"env must return finite observations, got (nan|inf) at \[1, 1\]"):
        from_gymnasium(SyncVectorEnv([lambda: Broken(""), lambda: Broken("reset")]), 5).reset()
    for place, said in (
        ("step", r"observations, got (nan|inf) at \[1, 2\]"),
        ("reward", r"rewards, .*\[1\]"),
    ):
        env = from_gymnasium(SyncVectorEnv([lambda: Broken(""), lambda place=place: Broken(place)]), 5)
        env.reset()
        with pytest.raises(ValueError, match=f"env must return finite {said}"):
            env.step(whole)


@pytest.mark.parametrize("mode", MODES)
def test_numbers_that_are_not_finite_do_not_matter_after_the_end(mode):
    env = from_gymnasium(SyncVectorEnv(maker([2, 9], wrong=np.nan), autoreset_mode=mode), 9)
    env.reset()
    for _ in range(9):
        observation = env.step(torch.zeros(2, dtype=torch.int64))[0]
    assert observation.isfinite().all()


def test_wrong_actions_noise_and_order_are_refused():
    vector_env = SyncVectorEnv(maker([3, 5]))
    env = from_gymnasium(vector_env, 4)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(torch.zeros(2, dtype=torch.int64))
    env.reset()
    for actions in (
        torch.tensor([0, 3]),
        torch.tensor([-1, 0]),
        torch.tensor([5, 6]),
        torch.tensor([0.0, 1.0]),
        torch.tensor([0]),
        [0, 1],
    ):
        with pytest.raises(ValueError, match="actions must"):
            env.step(actions)
    noise = env.sample_noise()
    for wrong, said in (
        (noise.action, "noise must be as sample_noise gives it, got Tensor"),
        (SeedNoise(noise.action[1:], noise.seed), "noise.action must have shape"),
        (SeedNoise(noise.action + 1, noise.seed), "noise.action must hold numbers in"),
        (SeedNoise(noise.action, noise.seed[None]), "noise.seed must have shape"),
        (SeedNoise(noise.action, noise.seed.double()), "noise.seed must be torch.int64"),
        (SeedNoise(noise.action, -1 - noise.seed), "noise.seed must be a whole number of at least 0"),
    ):
        with pytest.raises(ValueError, match=said):
            env.reset(wrong)
    env.step(torch.tensor([0, 1]))  # what was refused has changed nothing
    vector_env.close()
    for call in (env.reset, lambda: env.step(torch.tensor([0, 1]))):
        with pytest.raises(RuntimeError, match="has been closed"):
            call()


def test_a_batch_that_cannot_reset_some_of_its_episodes_is_found_out():
    class Thorough(SyncVectorEnv):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=seed)

    env = from_gymnasium(Thorough(maker([2, 5]), autoreset_mode=AutoresetMode.DISABLED), 5)
    env.reset()
    for _ in range(2):
        env.step(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="env must reset only the episodes in"):
        env.step(torch.tensor([0, 1]))


def test_the_last_observations_are_asked_for_where_resets_hide_them():
    class Hiding(SyncVectorEnv):
        def step(self, actions):
            return (*super().step(actions)[:4], {})

    env = from_gymnasium(Hiding(maker([1, 5]), autoreset_mode="SameStep"), 5)
    env.reset()
    with pytest.raises(ValueError, match="final_obs"):
        env.step(torch.tensor([0, 1]))


def test_it_lies_where_it_is_looked_for():
    assert bpa.envs.from_gymnasium is from_gymnasium
    env = from_gymnasium(CueRewardVectorEnv(2, cue_bits=4, episode_length=8), 8)
    assert (env.observation_size, env.num_actions) == (10, 2)


def test_an_environment_by_its_name_is_the_one_made_by_hand():
    named = bpa.envs.vector.by_name("FrozenLake-v1", 30, batch_size=3, generator=seeded(1))
    made = gymnasium.make_vec("FrozenLake-v1", num_envs=3, wrappers=[FlattenObservation])
    by_hand = from_gymnasium(made, 30, generator=seeded(1))
    noise = named.sample_noise()
    assert torch.equal(noise.action, by_hand.sample_noise().action)
    assert torch.equal(named.reset(noise), by_hand.reset(noise))
    assert named.observation_size == 16, "one number a place"
    generator = seeded(2)
    for _ in range(10):
        actions = torch.randint(4, (3,), generator=generator)
        for mine, other in zip(named.step(actions), by_hand.step(actions), strict=True):
            assert torch.equal(mine, other)
        if named.done.all():
            break


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"env": "Nowhere-v0"}, "env must be an id that Gymnasium knows, got 'Nowhere-v0'"),
        ({"env": "nothing_here:Nowhere-v0"}, "No module named 'nothing_here'"),
        ({"env": None}, "env must be the id of an environment of Gymnasium, got None"),
        ({"env": "Pendulum-v1"}, "env must have Discrete actions"),
        ({"env": "FrozenLake-v1", "episode_length": 101}, "episode_length must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_a_name_that_does_not_fit_is_refused_in_one_line(arguments, said):
    with pytest.raises(ValueError, match=said) as refusal:
        bpa.envs.vector.by_name(**arguments)
    assert "\n" not in str(refusal.value)
