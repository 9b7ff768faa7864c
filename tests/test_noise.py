"""Noise handed in by a caller: refused at the door where it is out of range, and what it chooses else.

A number out of range once sent a compiled loop out of its arrays, and the process died. So what could do that
runs in a process of its own.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from javascript import run_javascript
from networks import random_network

import bpa
from bpa import GridMaze, Network
from bpa.cells.lstm import LSTM
from bpa.envs.cue_reward import CueEpisodes, CueReward
from bpa.maze import draw_noise
from bpa.training.rollout import rollout


def in_a_process_of_its_own(script, **variables):
    """Run `script` and return what it printed; a crash is a failure here, and not the end of the tests."""
    environment = os.environ | {"PYTHONPATH": str(Path(bpa.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment | variables
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr[-2000:]}"
    return done.stdout


REFUSED = """
import math, torch
from bpa import GridMaze, Network
from bpa.cells.lstm import LSTM
from bpa.maze import draw_noise
from bpa.training.rollout import rollout

nets = Network(17, 5, 4), LSTM(17, 5, 4)
for bad in (math.nan, math.inf, -math.inf, -1e9, 1e9, -1e-7, 1.0):
    for name in ("goal", "action", "teleport"):
        noise = draw_noise(6, 2, torch.Generator().manual_seed(0))
        number = getattr(noise, name)
        number[(-1,) * number.dim()] = bad
        for engine in ("eager", "numba", "auto"):
            for net in nets:
                try:
                    rollout(net, GridMaze(5, 2, 6), noise, engine)
                except ValueError as error:
                    assert f"noise.{name} must hold numbers in [0, 1), got " in str(error), error
                    assert str(error).endswith("at [1]" if name == "goal" else "at [5, 1]"), error
                else:
                    print("taken:", bad, name, engine, type(net).__name__)
"""


def test_noise_out_of_range_is_refused_by_every_engine():
    assert in_a_process_of_its_own(REFUSED) == ""


@pytest.mark.parametrize("bad", [math.nan, -1e9, 1.0, math.inf])
def test_a_maze_refuses_noise_out_of_range(bad):
    maze = GridMaze(5, 3, 4)
    uniform = torch.tensor([0.5, bad, 0.5])
    with pytest.raises(ValueError, match=r"uniform must hold numbers in \[0, 1\), got .* at \[1\]"):
        maze.reset(uniform)
    maze.reset(torch.zeros(3))
    before = maze.agent.clone()
    with pytest.raises(ValueError, match=r"uniform must hold numbers in \[0, 1\), got .* at \[1\]"):
        maze.step(torch.zeros(3, dtype=torch.long), uniform)
    assert maze.time == 0
    assert torch.equal(maze.agent, before)


def cue_environment():
    return CueReward(3, 4, 2, 20, wrong_penalty=0.5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("target", lambda x: x - 5, r"target must hold numbers in \[0, 3\), got -\d at \[0\]"),
        ("target", lambda x: x.float(), r"target must be torch\.int64"),
        (
            "pairs",
            lambda x: x + 10**9,
            r"pairs must hold numbers in \[0, 3\), got 100000000\d at \[0, 0, 0\]",
        ),
        ("go", lambda x: x - 100, r"go must hold numbers in \[0, 21\)"),
        ("go", lambda x: x + 100, r"go must hold numbers in \[0, 21\)"),
        ("answers", lambda x: x + 2, r"answers must hold numbers in \[-1, 2\)"),
        ("answers", lambda x: x - 1, r"answers must hold numbers in \[-1, 2\)"),
        ("answers", lambda x: x.int(), r"answers must be torch\.int64"),
        ("shown", lambda x: x.double(), r"shown must be torch\.float32"),
        ("shown", lambda x: x.bool(), r"shown must be torch\.float32"),
        ("cues", lambda x: x.long(), r"cues must be torch\.float32"),
        ("cues", lambda x: x[:, :1], r"cues must have shape \[2, 3, 4\]"),
        ("shown", lambda x: None, r"shown must be a tensor"),
    ],
)
def test_cue_episodes_of_a_caller_are_checked(name, change, message):
    cues = cue_environment()
    episodes = cues.draw()
    with pytest.raises(ValueError, match=rf"episodes\.{message}"):
        cues.reset(episodes._replace(**{name: change(getattr(episodes, name))}))


def test_episodes_and_noise_of_another_kind_are_refused():
    cues, maze = cue_environment(), GridMaze(5, 2, 20)
    with pytest.raises(ValueError, match="episodes must be CueEpisodes, as draw gives, got tuple"):
        cues.reset(tuple(cues.draw()))
    cue_noise, maze_noise = cues.sample_noise(), maze.sample_noise()
    net, other = random_network(1, 5, 10, 2), random_network(1, 5, 17, 4)
    said = "noise must be drawn for CueReward, as sample_noise does, got |episodes must be CueEpisodes"
    for wrong in (maze_noise, tuple(cue_noise), cue_noise.episodes, cue_noise.action):
        with pytest.raises(ValueError, match=said):
            rollout(net, cues, wrong)
    said = "noise must be (drawn for GridMaze, as sample_noise does|MazeNoise, as sample_noise gives)"
    for wrong in (cue_noise, tuple(maze_noise), maze_noise.action):
        with pytest.raises(ValueError, match=said):
            rollout(other, maze, wrong)
    with pytest.raises(ValueError, match=r"noise\.action must hold numbers in \[0, 1\)"):
        rollout(net, cues, cue_noise._replace(action=cue_noise.action - 1))


STRANGE = {  # the same numbers, laid out otherwise
    "every second": lambda x: torch.stack([x, -x - 7], -1).flatten(-2)[..., ::2],
    "transposed": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "expanded": lambda x: x[..., :1].expand(x.shape),
}


@pytest.mark.parametrize("layout", STRANGE.values(), ids=STRANGE)
def test_noise_and_episodes_of_any_layout_give_the_same_in_every_engine(layout):
    noise = draw_noise(30, 4, torch.Generator().manual_seed(2))
    strange = type(noise)(*map(layout, noise))
    plain = type(noise)(*(part.detach().clone(memory_format=torch.contiguous_format) for part in strange))
    for net in (random_network(3, 9, 17, 4), LSTM(17, 9, 4, generator=torch.Generator().manual_seed(3))):
        right = rollout(net, GridMaze(5, 4, 30), plain, "eager")
        for engine in ("eager", "numba"):
            seen = rollout(net, GridMaze(5, 4, 30), strange, engine)
            assert torch.equal(seen.actions, right.actions)
            assert torch.equal(seen.rewards, right.rewards)
    cues, net = cue_environment(), random_network(4, 9, 10, 2)
    noise = cues.sample_noise()
    laid_out = CueEpisodes(*map(layout, noise.episodes))
    seen = [
        rollout(net, cue_environment(), noise._replace(episodes=laid_out), engine)
        for engine in ("eager", "numba")
    ]
    assert torch.equal(seen[0].actions, seen[1].actions)
    assert torch.equal(seen[0].rewards, seen[1].rewards)


NEVER = -math.inf
POLICIES = [  # as logits; what has no chance is the first action, one in the middle, the last, or several
    *(
        [NEVER if a in gone else 0.3 * a for a in range(4)]
        for gone in ((0,), (1,), (3,), (0, 1), (2, 3), (0, 3))
    ),
    *([x, 0.0, 0.5, x] for x in (-87.0, -88.0, -95.0, -103.0, -104.0, -200.0, -1e30)),
    *([low] * a + [7.0] + [low] * (3 - a) for a in range(4) for low in (NEVER, -90.0)),
    [math.nan, 0.0, 1.0, 2.0],
    [NEVER] * 4,
    [math.inf, 0.0, NEVER, 1.0],
    [1.0, 2.0, 3.0, 4.0],
]
FINE = [
    [0.0, -20.0, -17.0, -16.5],
    [-16.5, 0.0, -20.0, -17.0],
]  # finer than the page's numbers and ours agree
NUMBERS = [0.0, 2.0**-149, 2.0**-25, 2.0**-24, 0.25, 0.5, 0.75, 1 - 2.0**-23, 1 - 2.0**-24]


def sums_that_end_below_1():
    """Policies without a last action, whose other chances add up to less than the largest number below 1."""
    logits = torch.randn(3000, 4, generator=torch.Generator().manual_seed(8))
    logits[:, 3] = NEVER
    ends = torch.softmax(logits, -1).cumsum(-1)[:, 3]
    short = logits[ends <= 1 - 2.0**-24]
    assert len(short) > 20
    return short[:20].tolist()


def chosen(engine, logits, kind=Network):
    """The action for each of NUMBERS in a policy that has these logits whatever it sees."""
    net = kind(17, 3, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.h2o.weight.zero_()
        net.h2o.bias.copy_(torch.tensor(logits))
        count = len(NUMBERS)
        noise = draw_noise(1, count, torch.Generator().manual_seed(0))._replace(
            action=torch.tensor([NUMBERS])
        )
        return rollout(net, GridMaze(5, count, 1), noise, engine).actions[0].tolist()


def likely_actions(logits):
    """The actions that have a chance at all; the first where there is no policy."""
    policy = torch.softmax(torch.tensor(logits, dtype=torch.float64), -1)
    return [0] if policy.isnan().any() else (policy > 2.0**-126).nonzero()[:, 0].tolist()


@pytest.mark.parametrize("logits", [*POLICIES, *FINE, *sums_that_end_below_1()], ids=str)
def test_an_action_without_a_chance_is_never_taken(logits):
    allowed = likely_actions(logits)
    actions = chosen("eager", logits)
    assert set(actions) <= set(allowed)
    assert actions == sorted(actions)
    assert actions[0] == allowed[0]
    assert chosen("numba", logits) == actions
    assert chosen("numba", logits, LSTM) == actions


def test_the_page_takes_the_same_actions():
    policies = [*POLICIES, *sums_that_end_below_1()]
    names = {math.inf: "Infinity", NEVER: "-Infinity"}
    given = {
        "policies": [[names.get(x, "NaN" if math.isnan(x) else x) for x in logits] for logits in policies],
        "numbers": NUMBERS,
    }
    actions = run_javascript(
        "({policies, numbers}) => policies.map((logits) => "
        "numbers.map((uniform) => sampleAction(logits.map(Number), uniform)))",
        given,
    )
    for logits, mine in zip(policies, actions, strict=True):
        assert set(mine) <= set(likely_actions(logits)), logits
        assert mine == chosen("eager", logits), logits
