"""The cue-reward task for the reader to play, by the rules of `CueReward`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from bpa.arguments import require_integer
from bpa.envs.cue_reward import CueReward, expected_rewards_by_trial
from bpa.show.readers import episode_numbers, require_lengths
from bpa.show.widgets import Live

LOOKS = ("patterns", "letters")
MOST_BITS = 100  # of a picture that a reader can look at
MOST_STEPS = 1000  # of an episode that a reader can play
MOST_CUES = 26  # each of them has a letter


def play_cues(
    num_cues: int = 4,
    cue_bits: int = 20,
    episode_length: int | Sequence[int] = 200,
    reward: float = 1.0,
    wrong_penalty: float = 0.0,
    show_steps: int = 1,
    pause_steps: int = 1,
    seed: int | None = None,
    title: str = "You are the agent: which cue counts?",
    caption: str = "",
) -> Live:
    """The cue-reward task for the reader to play, by the rules of `CueReward`, by keys, mouse or touch.

    The reader sees each cue as its bits, as the network gets it, or as a letter, and answers yes or no at Go.
    The score stands beside those of a tossed coin, of always no and of a perfect memory, which are exact.
    After an episode the target and all trials are shown. A link in the text of the page drives the figure
    too, such as `<a href="#cues:steps=30,episode=7">episode 7</a>`, the same one for everybody.

    Args:
        num_cues, cue_bits, reward, wrong_penalty, show_steps, pause_steps: as for `CueReward`, whose trials
            are regular and whose pairs are drawn at random; at most 26 cues and 100 bits.
        episode_length: as for `CueReward`, at most 1000; or several, to choose from, the first at first.
        seed: the same episodes every time; new ones if None.
        title, caption: set above and below.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from bpa.show.cues import play_cues
        >>> play_cues(num_cues=6, pause_steps=0, episode_length=(60, 30), wrong_penalty=1.0)
        <live figure: You are the agent: which cue counts?>
    """
    lengths = require_lengths(episode_length, MOST_STEPS)
    require_integer("num_cues", num_cues, low=2, high=MOST_CUES)
    require_integer("cue_bits", cue_bits, low=1, high=MOST_BITS)
    tasks = [
        CueReward(
            num_cues,
            cue_bits,
            batch_size=1,
            episode_length=length,
            reward=reward,
            wrong_penalty=wrong_penalty,
            show_steps=show_steps,
            pause_steps=pause_steps,
        )
        for length in lengths
    ]
    longest = max(tasks, key=lambda task: task.episode_length)
    if seed is not None:
        seed = require_integer("seed", seed, low=0, high=2**32 - 1)
    settings = {
        "numCues": longest.num_cues,
        "cueBits": longest.cue_bits,
        "reward": longest.reward,
        "wrongPenalty": longest.wrong_penalty,
        "showSteps": longest.show_steps,
        "pauseSteps": longest.pause_steps,
    }
    data: dict[str, Any] = {
        "task": settings,
        "earned": {
            player: list(accumulate(earned)) for player, earned in expected_rewards_by_trial(longest).items()
        },
        "settings": allowed_settings(lengths),
        "seed": seed,
    }
    scripts = ["numbers.js", "board.js", "network.js", "settings.js", "cuetask.js", "reader.js", "cues.js"]
    return Live("cues.html", scripts, data, title, caption, height=1000, name="cues")


def allowed_settings(lengths: Sequence[int]) -> dict[str, list[str]]:
    """What a link may set, and to what."""
    return {
        "steps": [str(length) for length in lengths],
        "cues": [*LOOKS],
        "episode": episode_numbers(),
    }
