"""The cue-reward task: find out by trial and error which of a few new cues is the one that counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bpa.arguments import (
    require_begun,
    require_choice,
    require_classes,
    require_device,
    require_integer,
    require_number,
    require_range,
    require_shape,
    require_uniform,
)
from bpa.engines.offers import reason_of_class
from bpa.engines.view import CUES, NO_CUES, NO_TABLE, KernelView
from bpa.noise import given_or_fresh, integers, uniform
from bpa.tasks.patterns import distinct_codes

NUM_ACTIONS = 2
PAIRINGS = ("random", "dealt")
TRIALS = ("regular", "published")
MOST_BLANKS = 3  # among the cues of a published trial
# The published settings, for `CueReward` and for the network. The paper's text and the published code differ.
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "environment": {"num_cues": 4, "cue_bits": 20, "episode_length": 200},
        "network": {"hidden_size": 200, "clip": 7.0},
    },
    "code": {
        "environment": {
            "num_cues": 4,
            "cue_bits": 20,
            "episode_length": 120,
            "wrong_penalty": 1.0,
            "trials": "published",
        },
        "network": {"hidden_size": 200, "clip": 1.0},
    },
}


class CueEpisodes(NamedTuple):
    """What was drawn for B episodes: all the noise of the task. R trials of C cues; N cues of K bits.

    C is 2, and with `trials="published"` N / 2. R is the most trials that can fit.
    """

    cues: Tensor  # [B, N, K], +1 and -1
    target: Tensor  # int64 [B], the cue that counts
    pairs: Tensor  # int64 [B, R, C], the cues of each trial, in the order in which they are shown
    go: Tensor  # int64 [B, R], the Go step of each trial; T for a trial that does not fit any more
    shown: Tensor  # [T, B, K], the cue at each step, 0 without one
    answers: Tensor  # int64 [T, B], the right answer at a step that is judged, -1 elsewhere

    def shard(self, part: slice) -> CueEpisodes:
        """Some of the episodes."""
        first = (self.cues[part], self.target[part], self.pairs[part], self.go[part])
        return CueEpisodes(*first, self.shown[:, part], self.answers[:, part])


class CueNoise(NamedTuple):
    """All noise of a batch of episodes of the cue-reward task, drawn before it begins."""

    episodes: CueEpisodes  # what will be shown and asked
    action: Tensor  # [T, B], uniform numbers in [0, 1), float32: which action is sampled from the policy

    def shard(self, part: slice) -> CueNoise:
        """The noise of some of its episodes."""
        return CueNoise(self.episodes.shard(part), self.action[:, part])


class Plan(NamedTuple):
    """When what happens in the R trials of B episodes, in steps."""

    wait: Tensor  # int64 [B, R], before the trial begins
    length: Tensor  # int64 [B, R]
    cues: Tensor  # int64 [B, R, C], the first step of each cue, since the trial began
    go: Tensor  # int64 [B, R], the Go step, since the trial began


class CueReward:
    """A batch of agents, each learning within an episode which cue is its target. [2019, sec. 4.1]

    Description:
        Each episode has N new random cues, one of which, drawn at random, is the target; nothing about a
        cue tells which. In a trial two different cues are shown, one after the other, and then a Go
        signal. At Go the agent answers: was the target one of the two? The reward is all it ever learns
        about the target. A trial runs: cue, pause, cue, pause, Go (one step), pause. Trials follow each
        other as long as a whole one fits; what is left over is pause.

        With `trials="published"` a trial is that of the published program, 5 to 8 steps where N is 4: a
        blank; then half of the cues, drawn anew for each trial, once each, in any order and shuffled among 0
        to 3 blanks, each number of blanks equally often; then Go; then a blank, at which the answer is given
        and judged. The sources do not say what comes of a trial that the end of the episode would cut off;
        here too it does not take place.

    Actions:
        int64 [B], 1 yes or 0 no. Only the action at a Go step has an effect, with `trials="published"` only
        the one a step later.

    Observation:
        float32 [B, K + 6]: the K bits of the cue as +1 and -1, 0 without a cue; 1 at Go; a 1 (bias); t / T;
        the reward of the previous step; the previous action one-hot (action 0 before the first step, with
        `trials="published"` none).

    Rewards:
        float32 [B]: for an answer `reward` if it is right, and minus `wrong_penalty` if not; else 0.

    Termination:
        After T = `episode_length` steps `done` is True, for all episodes at once; `reset` starts new ones.

    Configuration:
        num_cues: N, at least 2. cue_bits: K, at least 1. batch_size: B, at least 1. episode_length: T, at
        least one trial. reward, wrong_penalty: finite numbers of at least 0.
        show_steps: steps of a cue, at least 1. pause_steps: steps of each pause, at least 0. jitter: before
        each trial so many more steps of pause at most, drawn uniformly for each trial; at least 0.
        pairing: "random", any two cues in each trial; or "dealt", the cues are shuffled and dealt out in
        pairs, and again when none is left, so that all are shown equally often; that needs an even N.
        trials: "regular", by the four settings before; or "published", which leaves those four as they are by
        default, needs an even N and an episode of N / 2 + 6 steps at least.
        generator: source of all noise, a fresh unseeded one if None. device: the CPU if None.

    The lengths of the phases of regular trials are ours. PUBLISHED holds the settings that the paper and its
    code name. All noise is drawn at `reset`, before the first step: no action changes what will be shown.

    Raises:
        ValueError: a setting is out of range, or there are more cues than the bits can tell apart.
    """

    def __init__(
        self,
        num_cues: int = 4,
        cue_bits: int = 20,
        batch_size: int = 30,
        episode_length: int = 200,
        reward: float = 1.0,
        wrong_penalty: float = 0.0,
        show_steps: int = 1,
        pause_steps: int = 1,
        jitter: int = 0,
        pairing: str = "random",
        trials: str = "regular",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ):
        self.num_cues = num_cues = require_integer("num_cues", num_cues, low=2)
        self.cue_bits = cue_bits = require_integer("cue_bits", cue_bits, low=1)
        if cue_bits < 63 and num_cues > 2**cue_bits:  # beyond, no number of cues is too large
            raise ValueError(
                f"num_cues must be at most {2**cue_bits}, as many as {cue_bits} bits can tell apart, "
                f"got {num_cues}"
            )
        self.pairing = pairing = require_choice("pairing", pairing, PAIRINGS)
        if pairing == "dealt" and num_cues % 2:
            raise ValueError(f"num_cues must be even to be dealt out in pairs, got {num_cues}")
        self.batch_size = require_integer("batch_size", batch_size, low=1)
        self.reward = require_number("reward", reward, low=0)
        self.wrong_penalty = require_number("wrong_penalty", wrong_penalty, low=0)
        self.show_steps = show_steps = require_integer("show_steps", show_steps, low=1)
        self.pause_steps = pause_steps = require_integer("pause_steps", pause_steps, low=0)
        self.jitter = jitter = require_integer("jitter", jitter, low=0)
        self.trials = trials = require_choice("trials", trials, TRIALS)
        self.cues_in_trial, self.trial_length = 2, 2 * show_steps + 1 + 3 * pause_steps
        longest = self.trial_length + jitter
        if trials == "published":
            self.refuse_other_phases()
            self.cues_in_trial = num_cues // 2
            self.trial_length = self.cues_in_trial + 3  # of the shortest: a blank, the cues, Go, a blank
            longest = self.trial_length + MOST_BLANKS
        self.answer_delay = int(trials == "published")  # steps from Go to the answer that is judged
        self.episode_length = episode_length = require_integer("episode_length", episode_length, low=longest)
        self.generator = given_or_fresh(generator)
        self.device = require_device("device", device)
        self.observation_size, self.num_actions = cue_bits + 6, NUM_ACTIONS
        self.time = episode_length  # no episode before the first reset

    def refuse_other_phases(self) -> None:
        """ValueError where a setting says otherwise than a published trial."""
        if self.num_cues % 2:
            raise ValueError(
                f"num_cues must be even with trials 'published', which show half of them, got {self.num_cues}"
            )
        for name, only in (("show_steps", 1), ("pause_steps", 1), ("jitter", 0), ("pairing", "random")):
            if (got := getattr(self, name)) != only:
                raise ValueError(
                    f"{name} must be {only!r}, its default, with trials 'published', which have phases of "
                    f"their own, got {got!r}"
                )

    def draw_pairs(self, trials: int) -> Tensor:
        """The cues of each trial, in the order in which they are shown, int64 [B, R, C]."""
        B, N = self.batch_size, self.num_cues
        if self.pairing == "random":
            order = uniform(B, trials, N, generator=self.generator).argsort(2)
            return order[:, :, : self.cues_in_trial]
        rounds = -(-trials // (N // 2))
        dealt = uniform(B, rounds, N, generator=self.generator).argsort(2)
        return dealt.reshape(B, -1, 2)[:, :trials]

    def draw_plan(self, trials: int) -> Plan:
        """When each trial begins, shows its cues and asks."""
        shape, C = (self.batch_size, trials), self.cues_in_trial
        if self.trials == "regular":
            wait = integers(self.jitter + 1, *shape, generator=self.generator)
            phase = self.show_steps + self.pause_steps
            length, go = torch.full_like(wait, self.trial_length), torch.full_like(wait, C * phase)
            cues = torch.arange(C, dtype=torch.int64, device=wait.device).expand(*shape, C) * phase
            return Plan(wait, length, cues, go)
        blanks = integers(MOST_BLANKS + 1, *shape, generator=self.generator)
        middle = torch.arange(C + MOST_BLANKS, dtype=torch.int64, device=blanks.device)
        drawn = uniform(*shape, C + MOST_BLANKS, generator=self.generator)
        # Any C of the C + blanks places in the middle, equally often: a place that is not there comes last.
        drawn = drawn.masked_fill(middle >= C + blanks[..., None], 2)
        cues = 1 + drawn.argsort(2)[:, :, :C].sort(2).values
        return Plan(torch.zeros_like(blanks), self.trial_length + blanks, cues, 1 + C + blanks)

    def draw(self) -> CueEpisodes:
        """B new episodes, from the generator."""
        B, T, K = self.batch_size, self.episode_length, self.cue_bits
        trials = T // self.trial_length
        cues = distinct_codes(B, self.num_cues, K, self.generator)
        target = integers(self.num_cues, B, generator=self.generator)
        pairs = self.draw_pairs(trials)
        plan = self.draw_plan(trials)
        starts = (plan.wait + plan.length).cumsum(1) - plan.length  # each after its own wait
        fits = starts + plan.length <= T
        answer = (pairs == target[:, None, None]).any(2).long()

        episodes = torch.arange(B, dtype=torch.int64, device=cues.device)[:, None].expand(B, trials)
        shown = torch.zeros(T, B, K, dtype=torch.float32, device=cues.device)
        for place in range(self.cues_in_trial):
            first = starts + plan.cues[:, :, place]
            for step in range(self.show_steps):
                shown[(first + step)[fits], episodes[fits]] = cues[episodes, pairs[:, :, place]][fits]
        go = torch.where(fits, starts + plan.go, T)
        answers = torch.full((T, B), -1, dtype=torch.int64, device=cues.device)
        answers[go[fits] + self.answer_delay, episodes[fits]] = answer[fits]

        drawn = (cues, target, pairs, go, shown, answers)
        return CueEpisodes(*(part.to(self.device) for part in drawn))

    def sample_noise(self) -> CueNoise:
        """All noise of B episodes, from the generator."""
        episodes = self.draw()
        action = uniform(self.episode_length, self.batch_size, generator=self.generator)
        return CueNoise(episodes, action.to(self.device))

    def check(self, episodes: Any) -> None:
        """Raise ValueError unless `episodes` are of this environment's shapes, types and ranges."""
        if not isinstance(episodes, CueEpisodes):
            raise ValueError(f"episodes must be CueEpisodes, as draw gives, got {type(episodes).__name__}")
        B, N, T, K = self.batch_size, self.num_cues, self.episode_length, self.cue_bits
        R = T // self.trial_length
        shapes = ((B, N, K), (B,), (B, R, self.cues_in_trial), (B, R), (T, B, K), (T, B))
        ranges = {"target": (0, N), "pairs": (0, N), "go": (0, T + 1), "answers": (-1, NUM_ACTIONS)}
        for name, part, shape in zip(CueEpisodes._fields, episodes, shapes, strict=True):
            dtype = torch.long if name in ranges else torch.float32
            require_shape(
                f"episodes.{name}", part, shape, like=torch.empty(0, dtype=dtype, device=self.device)
            )
            if name in ranges:
                low, below = ranges[name]
                require_range(f"episodes.{name}", part, low=low, below=below)

    def reset(self, noise: CueNoise | CueEpisodes | None = None) -> Tensor:
        """Begin the episodes of `noise`, or B new ones, and return their first observation [B, K + 6].

        The parts of `CueEpisodes` are attributes of the environment from now on.

        Raises:
            ValueError: the episodes are not of this environment's shapes, types and ranges.
        """
        if noise is None:
            noise = self.draw()
        elif isinstance(noise, CueNoise):
            shape = (self.episode_length, self.batch_size)
            require_uniform("noise.action", noise.action, shape, self.device)
            noise = noise.episodes
            self.check(noise)
        else:
            self.check(noise)
        self.cues, self.target, self.pairs, self.go, self.shown, self.answers = noise
        self.time = 0
        self.previous_reward = torch.zeros(self.batch_size, dtype=torch.float32, device=self.device)
        self.previous_action = torch.zeros(self.batch_size, dtype=torch.int64, device=self.device)
        return self.observation()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Take every agent's action: actions [B] -> observation [B, K + 6], reward [B], done.

        Raises:
            ValueError: actions are of the wrong shape, type or range.
            RuntimeError: the episodes are over, or none has begun.
        """
        if self.time >= self.episode_length:
            raise RuntimeError("the episode is over (or none has begun): call reset() before step()")
        require_classes("actions", actions, (self.batch_size,), NUM_ACTIONS, like=self.previous_action)
        answer = self.answers[self.time]
        right = (actions == answer).float()
        reward = torch.where(answer < 0, 0.0, right * self.reward - (1 - right) * self.wrong_penalty)
        self.time += 1
        # Copies: a caller may refill its own actions and the reward it was given.
        self.previous_reward, self.previous_action = reward.clone(), actions.clone()
        return self.observation(), reward, self.time == self.episode_length

    def observation(self) -> Tensor:
        """What each agent senses now, [B, K + 6]; after the last step nothing is shown any more.

        Raises:
            RuntimeError: no episode has begun.
        """
        require_begun(self, "observation()")
        extras = torch.zeros(self.batch_size, 4, dtype=torch.float32, device=self.device)
        cue = torch.zeros(self.batch_size, self.cue_bits, dtype=torch.float32, device=self.device)
        if self.time < self.episode_length:
            cue = self.shown[self.time]
        if self.time + self.answer_delay < self.episode_length:
            extras[:, 0] = self.answers[self.time + self.answer_delay] >= 0
        extras[:, 1] = 1
        extras[:, 2] = self.time / self.episode_length
        extras[:, 3] = self.previous_reward
        action = torch.nn.functional.one_hot(self.previous_action, NUM_ACTIONS).float()
        if self.trials == "published" and self.time == 0:
            action = torch.zeros_like(action)
        return torch.cat([cue, extras, action], dim=1)

    def kernel_view(self, noise: object | None = None) -> KernelView | str:
        """What the compiled loops of `bpa.engines` need of this task, or why none can run it.

        Args:
            noise: that of the episodes just begun, which are wanted too.
        """
        reason = reason_of_class(self, CueReward)
        if reason is not None:
            return reason
        if noise is not None:
            require_begun(self, "kernel_view(noise)")

        def finish(rewards: Tensor, actions: Tensor) -> None:
            self.time = self.episode_length
            self.previous_reward, self.previous_action = rewards[-1], actions[-1]

        return KernelView(
            CUES,
            self.observation_size,
            self.num_actions,
            self.batch_size,
            self.episode_length,
            self.reward,
            self.wrong_penalty,
            finish,
            shown=NO_CUES if noise is None else self.shown,
            answers=NO_TABLE if noise is None else self.answers,
            answer_delay=self.answer_delay,
            first_action=-1 if self.trials == "published" else 0,
        )


def best_rewards(env: CueReward) -> Tensor:
    """Expected reward [B] of the best player in the present episodes of `env`, over all possible targets.

    The best player knows the rules and the cues it is shown, not the target. It keeps the set of cues that
    may still be it: each reward, also a wrong answer's, says whether the target was one of those shown. With
    m of the c cues that are left among them, it says yes if m / c is above a half. Its answers do not
    change what it learns, so no other player does better. The player that knows the target from the
    start earns `reward` in every trial; a player that guesses, half of reward - wrong_penalty.

    Raises:
        RuntimeError: no episode has begun.
    """
    require_begun(env, "best_rewards()")
    B, N = env.batch_size, env.num_cues
    one_hot = torch.eye(N, dtype=torch.float32, device=env.device)
    possible = torch.ones(B, N, N, dtype=torch.float32, device=env.device)  # episode, target, cue
    total = torch.zeros(B, dtype=torch.float64, device=env.device)
    for trial in range(env.pairs.shape[1]):
        in_pair = one_hot[env.pairs[:, trial]].sum(1)  # [B, N]
        probability = (possible * in_pair[:, None]).sum(2) / possible.sum(2)
        says_yes = probability > 0.5
        right = (says_yes == (in_pair > 0)).double()
        takes_place = env.go[:, trial] < env.episode_length
        earned = right * env.reward - (1 - right) * env.wrong_penalty
        total += earned.mean(1) * takes_place
        possible = possible * torch.where(in_pair[:, :, None] > 0, in_pair[:, None], 1 - in_pair[:, None])
    return total


def expected_rewards(env: CueReward) -> dict[str, float]:
    """Expected reward of three players in an episode, exact up to rounding: nothing is sampled.

    The sum of `expected_rewards_by_trial`, which says who the players are.

    Raises:
        ValueError: cues are dealt out, so that a trial depends on those before it.

    Example:
        >>> from bpa.envs.cue_reward import CueReward, expected_rewards
        >>> players = expected_rewards(CueReward(num_cues=6, pause_steps=0, episode_length=60))
        >>> ", ".join(f"{name} {reward:.2f}" for name, reward in players.items())
        'coin 10.00, no 13.33, perfect 18.93'
    """
    return {player: float(sum(earned)) for player, earned in expected_rewards_by_trial(env).items()}


def expected_rewards_by_trial(env: CueReward) -> dict[str, list[float]]:
    """Expected reward of three players in each trial of an episode, exact up to rounding.

    "coin" tosses one for every answer, "no" always says no, and neither remembers anything. "perfect" is the
    player of `best_rewards`: of N cues c may still be the target, C are shown, m of the c among them with a
    hypergeometric probability, and afterwards m are left or c - m. There are as many trials as can fit; one
    that may not fit counts with the probability that it does.

    Raises:
        ValueError: cues are dealt out, so that a trial depends on those before it.
    """
    from scipy.stats import hypergeom  # here, because it takes a second

    if env.pairing != "random":
        raise ValueError(f"pairing must be 'random' for exact rewards, got {env.pairing!r}")
    N, C, T = env.num_cues, env.cues_in_trial, env.episode_length
    spare = MOST_BLANKS if env.trials == "published" else env.jitter  # steps by which a trial may be longer
    ends, left = np.zeros(T + 1), np.zeros(N + 1)  # how likely a trial ends at a step, and c cues are left
    ends[0] = left[N] = 1
    earned: dict[str, list[float]] = {"coin": [], "no": [], "perfect": []}
    for _ in range(T // env.trial_length):
        longer = [np.pad(ends, (env.trial_length + more, 0))[: T + 1] for more in range(spare + 1)]
        ends = np.mean(longer, axis=0)
        right = {"coin": 0.5, "no": 1 - C / N, "perfect": 0.0}
        after = np.zeros(N + 1)
        for c in range(1, N + 1):
            for m in range(min(c, C) + 1):
                likely = left[c] * hypergeom.pmf(m, N, c, C)
                right["perfect"] += likely * max(m, c - m) / c
                after[m] += likely * m / c
                after[c - m] += likely * (c - m) / c
        left = after
        for player, share in right.items():
            earned[player].append(float(ends.sum() * (share * env.reward - (1 - share) * env.wrong_penalty)))
    return earned
