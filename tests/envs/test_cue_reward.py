"""The cue-reward task: what is shown, what is asked, and that nothing but reward tells which cue counts."""

import copy
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from bpa.envs.cue_reward import PUBLISHED, CueReward, best_rewards, expected_rewards


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@st.composite
def environments(draw):
    pairing = draw(st.sampled_from(["random", "dealt"]))
    kind = {
        "num_cues": draw(st.integers(1, 3)) * 2 if pairing == "dealt" else draw(st.integers(2, 6)),
        "cue_bits": draw(st.integers(3, 8)),
        "batch_size": draw(st.integers(1, 4)),
        "reward": draw(st.sampled_from([1.0, 2.5])),
        "wrong_penalty": draw(st.sampled_from([0.0, 1.0])),
        "show_steps": draw(st.integers(1, 2)),
        "pause_steps": draw(st.integers(0, 2)),
        "jitter": draw(st.integers(0, 2)),
        "pairing": pairing,
    }
    shortest = 2 * kind["show_steps"] + 1 + 3 * kind["pause_steps"] + kind["jitter"]
    return kind | {"episode_length": draw(st.integers(shortest, shortest + 40))}


@given(environments(), st.integers(0, 2**32))
def test_what_an_agent_senses_is_trial_after_trial_and_the_reward_is_for_the_right_answer(kind, seed):
    env = CueReward(**kind, generator=seeded(seed))
    B, T, K = env.batch_size, env.episode_length, env.cue_bits
    assert (env.observation_size, env.num_actions) == (K + 6, 2)
    actions = torch.randint(2, (T, B), generator=seeded(seed + 1))
    seen, gained = [env.reset()], []
    for t in range(T):
        observation, reward, done = env.step(actions[t])
        assert done == (t == T - 1)
        seen.append(observation)
        gained.append(reward)
    seen, gained = torch.stack(seen), torch.stack(gained)
    assert seen.shape == (T + 1, B, K + 6)
    assert (seen[:, :, K + 1] == 1).all()
    torch.testing.assert_close(seen[:, 0, K + 2], torch.arange(T + 1) / T)
    assert not seen[0, :, K + 3].any()
    assert torch.equal(seen[1:, :, K + 3], gained)
    assert (seen[0, :, K + 4] == 1).all()
    assert torch.equal(seen[1:, :, K + 4 :].argmax(2), actions)
    assert (seen[-1, :, : K + 1] == 0).all()

    for b in range(B):
        cues = [tuple(cue) for cue in env.cues[b].tolist()]
        assert len(set(cues)) == env.num_cues
        assert set(sum(cues, ())) <= {-1.0, 1.0}
        # Read the episode as an agent would: cues until Go, then an answer.
        pair, trials, last = [], 0, None
        for t in range(T):
            bits, go = tuple(seen[t, b, :K].tolist()), seen[t, b, K].item()
            if any(bits):
                assert bits in cues
                assert not go
                if bits != last or env.pause_steps:
                    pair += [cues.index(bits)] if not pair or pair[-1] != cues.index(bits) else []
                last = bits
            if go:
                assert len(pair) == len(set(pair)) == 2
                assert pair == env.pairs[b, trials].tolist()
                assert env.go[b, trials] == t
                right = actions[t, b].item() == (env.target[b].item() in pair)
                assert gained[t, b].item() == (kind["reward"] if right else -kind["wrong_penalty"])
                pair, trials, last = [], trials + 1, None
            else:
                assert gained[t, b] == 0
        assert not pair, "a trial is shown whole or not at all"
        assert trials >= 1
        assert (env.go[b, trials:] == T).all()
        unused = T - (env.go[b, trials - 1].item() + 1 + env.pause_steps)
        assert unused < env.trial_length + env.jitter, "room is left for a trial"


def test_the_target_is_nowhere_in_what_is_sensed_before_the_first_reward():
    """Episodes that differ in their targets alone look the same until a reward differs."""
    env = CueReward(batch_size=40, jitter=1, generator=seeded(0))
    env.reset()
    first = env.go[:, 0]
    others = []
    for shift in (1, 2, 3):
        other = copy.deepcopy(env)
        other.target = (env.target + shift) % 4
        hit = (env.pairs == other.target[:, None, None]).any(2).long()
        for trial in range(env.pairs.shape[1]):
            fits = env.go[:, trial] < env.episode_length
            other.answers[env.go[fits, trial], fits.nonzero()[:, 0]] = hit[fits, trial]
        others.append(other)
    for t in range(int(first.max()) + 1):
        before = first >= t
        for other in others:
            assert torch.equal(env.observation()[before], other.observation()[before])
        for one in (env, *others):
            one.step(torch.zeros(40, dtype=torch.long))


def test_a_cues_bits_and_place_say_nothing_about_whether_it_is_the_target():
    env = CueReward(batch_size=20_000, cue_bits=4, generator=seeded(1))
    env.reset()
    cues, target = env.cues, env.target
    chosen = cues[torch.arange(20_000), target]
    code = ((chosen > 0).long() << torch.arange(4)).sum(1)
    assert chisquare(torch.bincount(code, minlength=16).numpy()).pvalue > 1e-3
    assert chisquare(torch.bincount(target).numpy()).pvalue > 1e-3
    # The rank of the target's code among the four of its episode is uniform too.
    ranks = ((cues > 0).long() << torch.arange(4)).sum(2).argsort(1).argsort(1)
    rank = ranks[torch.arange(20_000), target]
    assert chisquare(torch.bincount(rank).numpy()).pvalue > 1e-3
    place = (env.pairs[:, 0] == target[:, None]).long().sum(0)
    assert abs(place[0] - place[1]) < 4 * (place.sum().sqrt())
    yes = (env.pairs == target[:, None, None]).any(2).float().mean()
    assert abs(yes - 0.5) < 0.01, "with four cues half the answers are yes"


def test_pairs_are_uniform_and_dealt_pairs_show_every_cue_equally_often():
    env = CueReward(batch_size=12_000, generator=seeded(2))
    env.reset()
    name = env.pairs[:, 3, 0] * 4 + env.pairs[:, 3, 1]
    counts = torch.bincount(name, minlength=16)
    assert (counts[::5] == 0).all()
    assert chisquare(counts[counts > 0].numpy()).pvalue > 1e-3
    env = CueReward(num_cues=6, batch_size=50, pairing="dealt", generator=seeded(3))
    env.reset()
    rounds = env.pairs[:, :30].reshape(50, 10, 6)
    assert torch.equal(rounds.sort(2).values, torch.arange(6).expand(50, 10, 6))


@pytest.mark.parametrize("pairing", ["random", "dealt"])
def test_pairs_are_drawn_anew_for_each_trial_and_each_episode(pairing):
    env = CueReward(batch_size=5000, pairing=pairing, episode_length=60, generator=seeded(9))
    env.reset()
    first = env.pairs[:, :, 0]
    # Trials of different rounds, neighbouring episodes: every two first cues together equally often.
    for one, other in ((first[:, 0], first[:, 4]), (first[::2, 2], first[1::2, 2])):
        assert chisquare(torch.bincount(one * 4 + other, minlength=16).numpy()).pvalue > 1e-3


def test_each_trial_waits_for_a_time_of_its_own_up_to_the_jitter():
    env = CueReward(batch_size=5000, jitter=2, pause_steps=2, generator=seeded(10))
    env.reset()
    waits = env.go[:, 0] - 6, env.go[:, 1] - env.go[:, 0] - env.trial_length
    together = torch.bincount(waits[0] * 3 + waits[1], minlength=9)
    assert len(together) == 9
    assert chisquare(together.numpy()).pvalue > 1e-3


@given(
    num_cues=st.sampled_from([2, 4, 6]),
    cue_bits=st.integers(3, 8),
    batch_size=st.integers(1, 4),
    extra=st.integers(0, 60),
    wrong_penalty=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_a_published_trial_is_a_blank_half_of_the_cues_among_blanks_go_and_a_judged_blank(
    num_cues, cue_bits, batch_size, extra, wrong_penalty, seed
):
    """An episode read step by step as an agent senses it, against the rules in words."""
    half = num_cues // 2
    kind = {"num_cues": num_cues, "cue_bits": cue_bits, "wrong_penalty": wrong_penalty, "trials": "published"}
    T = half + 6 + extra
    env = CueReward(batch_size=batch_size, episode_length=T, **kind, generator=seeded(seed))
    actions = torch.randint(2, (T, batch_size), generator=seeded(seed + 1))
    seen, gained = [env.reset()], []
    for t in range(T):
        observation, reward, done = env.step(actions[t])
        assert done == (t == T - 1)
        seen.append(observation)
        gained.append(reward)
    seen, gained = torch.stack(seen), torch.stack(gained)
    K = cue_bits
    assert (seen[:, :, K + 1] == 1).all()
    torch.testing.assert_close(seen[:, 0, K + 2], torch.arange(T + 1) / T)
    assert not seen[0, :, K + 3 :].any(), "nothing was rewarded or done before the first step"
    assert torch.equal(seen[1:, :, K + 3], gained)
    assert torch.equal(seen[1:, :, K + 4 :], torch.nn.functional.one_hot(actions, 2).float())

    for b in range(batch_size):
        cues = [tuple(cue) for cue in env.cues[b].tolist()]
        assert len(set(cues)) == num_cues
        begun, trials = 0, 0
        for t in range(T):
            if not seen[t, b, K]:
                continue
            assert seen[t, b, :K].eq(0).all(), "Go comes without a cue"
            assert seen[begun, b, :K].eq(0).all(), "a trial begins with a blank"
            middle = [tuple(bits) for bits in seen[begun + 1 : t, b, :K].tolist()]
            blanks = [bits for bits in middle if not any(bits)]
            shown = [cues.index(bits) for bits in middle if any(bits)]
            assert len(blanks) <= 3
            assert len(shown) == len(set(shown)) == half
            assert shown == env.pairs[b, trials].tolist()
            assert env.go[b, trials] == t
            assert seen[t + 1, b, : K + 1].eq(0).all(), "the answer is judged at a blank"
            right = actions[t + 1, b].item() == (env.target[b].item() in shown)
            assert gained[t + 1, b] == (1 if right else -wrong_penalty)
            assert not gained[begun : t + 1, b].any(), "nothing else is rewarded"
            assert half + 3 <= t + 2 - begun <= half + 6
            begun, trials = t + 2, trials + 1
        assert trials >= 1
        assert not seen[begun:T, b, :K].any(), "a trial is shown whole or not at all"
        assert not gained[begun:, b].any()
        assert T - begun < half + 6, "room is left for a trial"
        assert (env.go[b, trials:] == T).all()


def test_published_trials_are_drawn_fairly():
    """Numbers of blanks, orders of cues and places among blanks are each equally often, trial by trial."""
    env = CueReward(batch_size=24_000, episode_length=40, trials="published", generator=seeded(20))
    env.reset()
    length = env.go[:, 1] - env.go[:, 0]  # one judged blank, one blank, two cues and the blanks, Go
    assert chisquare(torch.bincount(length - 5, minlength=4).numpy()).pvalue > 1e-3
    together = torch.bincount((env.go[:, 0] - 3) * 4 + length - 5, minlength=16)
    assert chisquare(together.numpy()).pvalue > 1e-3
    for trial in (0, 2):
        name = env.pairs[:, trial, 0] * 4 + env.pairs[:, trial, 1]
        counts = torch.bincount(name, minlength=16)
        assert (counts[::5] == 0).all()
        assert chisquare(counts[counts > 0].numpy()).pvalue > 1e-3
    first, later = env.pairs[:, 0, 0], env.pairs[:, 3, 0]
    assert chisquare(torch.bincount(first * 4 + later, minlength=16).numpy()).pvalue > 1e-3
    # Two cues in 2 to 5 places: in each of the pairs of places equally often.
    for blanks in range(4):
        cue = env.shown[: 3 + blanks, env.go[:, 0] == 3 + blanks].ne(0).any(2)
        places = cue.long().T @ (2 ** torch.arange(3 + blanks))
        counts = torch.unique(places, return_counts=True)[1]
        assert len(counts) == (2 + blanks) * (1 + blanks) // 2
        if blanks:
            assert chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_players_of_published_trials_earn_just_what_they_must(penalty):
    """One that knows the target, one that always says no, and one that answers at Go instead of after it."""
    kind = {"wrong_penalty": penalty, "episode_length": 120, "trials": "published", "batch_size": 50}
    env = CueReward(**kind, generator=seeded(21))
    drawn = env.draw()
    held = (drawn.pairs == drawn.target[:, None, None]).any(2)  # [B, R]
    whole = drawn.go < 120
    trials, yes = whole.sum(1), (held & whole).sum(1)
    assert (trials >= 120 // 8).all()
    assert (trials <= 120 // 5).all()

    def score(says):
        env.reset(drawn)
        total = torch.zeros(50)
        for t in range(120):
            total += env.step(says(t))[1]
        return total

    def knows(t):
        trial = (drawn.go == t - 1) & whole
        return (held & trial).any(1).long()

    assert torch.equal(score(knows), trials.float())
    assert torch.equal(score(lambda t: torch.zeros(50, dtype=torch.long)), trials - yes - penalty * yes)
    early = score(lambda t: knows(t + 1))  # and says no a step later, when it is judged
    assert torch.equal(early, trials - yes - penalty * yes)
    best = best_rewards(env)
    assert (best < trials).all()
    assert (best > (trials * (1 - penalty) / 2)).all()


def test_published_trials_can_be_replayed_and_sharded():
    env = CueReward(batch_size=4, trials="published", wrong_penalty=1.0, generator=seeded(22))
    other = CueReward(batch_size=2, trials="published", wrong_penalty=1.0)
    noise = env.sample_noise()
    actions = torch.randint(2, (200, 4), generator=seeded(23))
    assert torch.equal(env.reset(noise)[1:3], other.reset(noise.shard(slice(1, 3))))
    for t in range(200):
        observation, reward, done = env.step(actions[t])
        part, gained, ended = other.step(actions[t, 1:3])
        assert torch.equal(observation[1:3], part)
        assert torch.equal(reward[1:3], gained)
        assert done == ended
    with pytest.raises(ValueError, match=r"episodes.pairs must have shape \[4, 33, 2\], got \[4, 40, 2\]"):
        CueReward(batch_size=4).reset(noise)


@pytest.mark.parametrize("name", ["paper", "code"])
def test_the_published_settings(name):
    env = CueReward(**PUBLISHED[name]["environment"], generator=seeded(4))
    assert env.reset().shape == (30, 26)
    expected = {"paper": (200, 0.0, 7.0), "code": (120, 1.0, 1.0)}[name]
    assert (env.episode_length, env.wrong_penalty, PUBLISHED[name]["network"]["clip"]) == expected
    assert (env.num_cues, PUBLISHED[name]["network"]["hidden_size"]) == (4, 200)
    assert env.trials == {"paper": "regular", "code": "published"}[name]


@pytest.mark.parametrize(("pairing", "num_cues"), [("random", 4), ("dealt", 4), ("random", 5)])
def test_the_best_player_earns_what_is_expected(pairing, num_cues):
    """A player in plain Python that keeps the cues that can still be the target, against the exact figure."""
    kind = {"num_cues": num_cues, "pairing": pairing, "jitter": 2, "episode_length": 60}
    env = CueReward(batch_size=400, wrong_penalty=1.0, generator=seeded(5), **kind)
    env.reset()
    expected = best_rewards(env)
    possible = [set(range(num_cues)) for _ in range(400)]
    trial = [0] * 400
    total = torch.zeros(400)
    for t in range(60):
        asked = {b for b in range(400) if env.answers[t, b] >= 0}
        pairs = {b: set(env.pairs[b, trial[b]].tolist()) for b in asked}
        yes = {b: len(pairs[b] & possible[b]) > len(possible[b]) / 2 for b in asked}
        actions = torch.tensor([int(yes.get(b, False)) for b in range(400)])
        _, reward, _ = env.step(actions)
        total += reward
        for b in asked:
            was_in = yes[b] if reward[b] > 0 else not yes[b]
            possible[b] = possible[b] & pairs[b] if was_in else possible[b] - pairs[b]
            trial[b] += 1
    assert all(env.target[b].item() in possible[b] for b in range(400))
    error = (total - expected).std() / 20
    assert abs(total.mean() - expected.mean()) < 3.5 * error
    assert 3 < expected.mean() < 10


@pytest.mark.parametrize(
    "kind",
    [
        {"num_cues": 6, "pause_steps": 0, "episode_length": 60, "wrong_penalty": 1.0},
        {"num_cues": 5, "jitter": 4, "episode_length": 50, "reward": 2.0},
        {"num_cues": 6, "trials": "published", "episode_length": 47, "wrong_penalty": 1.0},
    ],
    ids=["regular", "jitter", "published"],
)
def test_exact_rewards_are_what_many_episodes_come_to(kind):
    """How many trials take place depends on jitter and blanks; what is known, on the cues shown before."""
    env = CueReward(batch_size=4000, generator=seeded(6), **kind)
    env.reset()
    exact = expected_rewards(env)
    asked = (env.go < env.episode_length).sum(1).double()
    yes = (env.answers == 1).sum(0)
    measured = {
        "coin": asked * (env.reward - env.wrong_penalty) / 2,
        "no": (asked - yes) * env.reward - yes * env.wrong_penalty,
        "perfect": best_rewards(env),
    }
    assert list(exact) == list(measured)
    for player, rewards in measured.items():
        error = rewards.std() / 4000**0.5
        assert abs(rewards.mean() - exact[player]) <= 3.5 * error + 1e-9, player
    assert exact["coin"] < exact["perfect"]


def test_exact_rewards_by_every_course_of_three_trials():
    """All targets and all shown cues, counted: the perfect player in plain sets."""
    pairs = [set(pair) for pair in itertools.combinations(range(4), 2)]
    perfect = no = courses = 0
    for target, *shown in itertools.product(range(4), pairs, pairs, pairs):
        possible, courses = set(range(4)), courses + 1
        for pair in shown:
            yes = 2 * len(pair & possible) > len(possible)
            perfect += yes == (target in pair)
            no += target not in pair
            possible = possible & pair if target in pair else possible - pair
    env = CueReward(num_cues=4, pause_steps=0, episode_length=10)
    assert expected_rewards(env) == pytest.approx(
        {"coin": 1.5, "no": no / courses, "perfect": perfect / courses}
    )
    with pytest.raises(ValueError, match="pairing must be 'random' for exact rewards, got 'dealt'"):
        expected_rewards(CueReward(pairing="dealt"))


def test_the_same_seed_gives_the_same_episodes():
    before = torch.get_rng_state()
    one, other = CueReward(generator=seeded(6)), CueReward(generator=seeded(6))
    for _ in range(2):
        assert torch.equal(one.reset(), other.reset())
        assert torch.equal(one.shown, other.shown)
        assert torch.equal(one.answers, other.answers)
    assert torch.equal(before, torch.get_rng_state())
    cues = one.cues
    one.reset()
    assert not torch.equal(one.cues, cues), "each episode has new cues"
    for others in ((seeded(7), seeded(8)), (None, None)):
        a, b = (CueReward(generator=generator) for generator in others)
        a.reset(), b.reset()
        assert not torch.equal(a.cues, b.cues)


def test_episodes_that_were_drawn_before_can_be_replayed():
    env, twin = CueReward(batch_size=3, generator=seeded(11)), CueReward(batch_size=3)
    drawn = env.draw()
    actions = torch.randint(2, (200, 3), generator=seeded(12))
    assert torch.equal(env.reset(drawn), twin.reset(drawn))
    for t in range(200):
        for ours, theirs in zip(env.step(actions[t]), twin.step(actions[t]), strict=True):
            assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs))
    for other, said in (
        (CueReward(batch_size=4), r"episodes.cues must have shape \[4, 4, 20\], got \[3, 4, 20\]"),
        (CueReward(batch_size=3, pause_steps=0), r"episodes.pairs must have shape \[3, 66, 2\]"),
        (CueReward(batch_size=3, episode_length=203), r"episodes.shown must have shape \[203, 3, 20\]"),
    ):
        with pytest.raises(ValueError, match=said):
            other.reset(drawn)


def test_a_new_episode_begins_without_a_past_and_a_caller_may_reuse_its_tensors():
    env = CueReward(batch_size=4, episode_length=6, reward=1.0, wrong_penalty=1.0, generator=seeded(13))
    env.reset()
    for _ in range(5):
        actions = torch.ones(4, dtype=torch.long)
        observation, reward, _ = env.step(actions)
    assert reward.abs().eq(1).all()
    reward.zero_(), actions.zero_()
    assert torch.equal(env.observation(), observation)
    begun = env.reset()
    assert not begun[:, 22:24].any(), "time and previous reward are 0"
    assert (begun[:, 24] == 1).all(), "action 0 came before the first step"


def test_episodes_are_where_they_are_wanted():
    assert CueReward(device="meta").reset().device.type == "meta"
    assert CueReward().reset().device.type == "cpu"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_cues": 0}, "num_cues must be a whole number of at least 2, got 0"),
        ({"num_cues": 5, "pairing": "dealt"}, "num_cues must be even to be dealt out in pairs, got 5"),
        (
            {"num_cues": 5, "cue_bits": 2},
            "num_cues must be at most 4, as many as 2 bits can tell apart, got 5",
        ),
        ({"cue_bits": 0}, "cue_bits must be a whole number of at least 1, got 0"),
        ({"episode_length": 5}, "episode_length must be a whole number of at least 6, got 5"),
        ({"wrong_penalty": -1.0}, "wrong_penalty must be a finite number of at least 0, got -1.0"),
        ({"show_steps": 0}, "show_steps must be a whole number of at least 1, got 0"),
        ({"pairing": "fair"}, "pairing must be one of 'random', 'dealt', got 'fair'"),
        ({"jitter": -1}, "jitter must be a whole number of at least 0, got -1"),
        ({"episode_length": 7, "jitter": 2}, "episode_length must be a whole number of at least 8, got 7"),
        ({"pause_steps": -1}, "pause_steps must be a whole number of at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"reward": -1.0}, "reward must be a finite number of at least 0, got -1.0"),
        ({"trials": "sr"}, "trials must be one of 'regular', 'published', got 'sr'"),
        (
            {"trials": "published", "num_cues": 5},
            "num_cues must be even with trials 'published', which show half of them, got 5",
        ),
        (
            {"trials": "published", "episode_length": 7},
            "episode_length must be a whole number of at least 8, got 7",
        ),
        ({"trials": "published", "show_steps": 2}, "show_steps must be 1, its default, .* got 2"),
        ({"trials": "published", "pause_steps": 0}, "pause_steps must be 1, its default, .* got 0"),
        ({"trials": "published", "jitter": 3}, "jitter must be 0, its default, .* got 3"),
        (
            {"trials": "published", "pairing": "dealt"},
            "pairing must be 'random', .* got 'dealt'",
        ),
    ],
)
def test_a_wrong_setting_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        CueReward(**wrong)


def test_wrong_actions_and_a_finished_episode_are_refused():
    env = CueReward(batch_size=2, episode_length=6, generator=seeded(0))
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(torch.tensor([0, 1]))
    env.reset()
    for actions in (torch.tensor([0, 2]), torch.tensor([0.0, 1.0]), torch.tensor([-1, 0])):
        with pytest.raises(ValueError, match="actions must be int64 from 0 to 1"):
            env.step(actions)
    for _ in range(6):
        env.step(torch.tensor([0, 1]))
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(torch.tensor([0, 1]))
