"""The cue-reward task of the page is CueReward, step by step, and its perfect memory is that of Python."""

import html
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from javascript import run_javascript

from bpa.envs.cue_reward import CueReward, best_rewards, expected_rewards
from bpa.noise import uniform
from bpa.show import cues, widgets

CHAPTERS = sorted((Path(__file__).parents[2] / "book" / "chapters").glob("*.ipynb"))
SOURCES = ("numbers.js", "network.js", "settings.js", "cuetask.js")
SMALL = {"num_cues": 6, "cue_bits": 20, "episode_length": 60, "pause_steps": 0, "wrong_penalty": 1.0}
# Of other sizes, with pauses, some steps left over at the end, and other rewards.
OTHERS = (
    SMALL,
    {"num_cues": 4, "cue_bits": 20, "episode_length": 200},
    {"num_cues": 3, "cue_bits": 2, "episode_length": 50, "show_steps": 3, "pause_steps": 2, "reward": 2.5},
)


def settings_of(env: CueReward) -> dict:
    return {
        "numCues": env.num_cues,
        "cueBits": env.cue_bits,
        "episodeLength": env.episode_length,
        "showSteps": env.show_steps,
        "pauseSteps": env.pause_steps,
        "reward": env.reward,
        "wrongPenalty": env.wrong_penalty,
    }


def noise_of(env: CueReward, episode: int) -> dict:
    return {
        "cues": env.cues[episode].tolist(),
        "target": int(env.target[episode]),
        "pairs": env.pairs[episode].tolist(),
    }


LIVE = """({ settings, noise, actions }) => {
  const task = new CueReward(settings);
  const seen = [task.reset(noise)], rewards = [], asked = [], goes = [];
  for (const action of actions) {
    goes.push(task.asks);
    const step = task.step(action);
    seen.push(step.observation);
    rewards.push(step.reward);
    asked.push(step.asked);
  }
  return { seen, rewards, asked, goes, done: task.done, trials: task.trials };
}"""


@pytest.mark.parametrize("arguments", OTHERS, ids=["chapter", "paper", "slow"])
def test_each_step_of_the_page_is_that_of_python(arguments):
    generator = torch.Generator().manual_seed(5)
    env = CueReward(batch_size=3, generator=generator, **arguments)
    observation = env.reset()
    actions = torch.randint(2, (env.episode_length, 3), generator=generator)
    pages = [
        run_javascript(
            LIVE,
            {
                "settings": settings_of(env),
                "noise": noise_of(env, episode),
                "actions": actions[:, episode].tolist(),
            },
            SOURCES,
        )
        for episode in range(3)
    ]
    earned = 0.0
    for t in range(env.episode_length + 1):
        for episode, page in enumerate(pages):
            assert page["seen"][t] == observation[episode].tolist()
        if t == env.episode_length:
            break
        asked = env.answers[t] >= 0
        observation, reward, done = env.step(actions[t])
        assert done == (t == env.episode_length - 1)
        for episode, page in enumerate(pages):
            assert page["rewards"][t] == reward[episode]
            assert page["asked"][t] == page["goes"][t] == bool(asked[episode])
        earned += reward.abs().sum().item()
    assert earned > 0
    assert all(page["done"] and page["trials"] == env.pairs.shape[1] for page in pages)


DRAW = """({ settings, numbers }) => {
  const task = new CueReward(settings);
  let taken = 0;
  const drawn = task.draw(() => numbers[taken++]);
  return { ...drawn, taken };
}"""


def test_the_same_random_numbers_make_the_same_pairs():
    generator = torch.Generator().manual_seed(0)
    env = CueReward(batch_size=1, generator=torch.Generator().manual_seed(0), **SMALL)
    R = env.episode_length // env.trial_length
    pairs = env.draw_pairs(R)[0].tolist()
    numbers = uniform(1, R, env.num_cues, generator=generator).flatten().tolist()
    bits = [0.75 if (k >> place) % 2 else 0.25 for k in range(6) for place in range(20)]
    drawn = run_javascript(DRAW, {"settings": settings_of(env), "numbers": [*bits, 0.5, *numbers]}, SOURCES)
    assert drawn["pairs"] == pairs
    assert drawn["target"] == 3
    assert drawn["cues"][5] == [1, -1, 1] + [-1] * 17
    assert drawn["taken"] == 6 * 20 + 1 + 20 * 6


def test_a_cue_that_equals_another_is_drawn_again():
    env = CueReward(num_cues=3, cue_bits=2, batch_size=1, episode_length=12)
    numbers = [0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.9, 0.0, *[0.1, 0.2, 0.3] * 2]
    drawn = run_javascript(DRAW, {"settings": settings_of(env), "numbers": numbers}, SOURCES)
    assert drawn["cues"] == [[-1, -1], [1, -1], [1, 1]]
    assert drawn["taken"] == len(numbers)


MANY = """({ settings, count }) => {
  const task = new CueReward(settings);
  const uniform = uniformSource(7);
  return Array.from({ length: count }, () => {
    const { cues, target, pairs } = task.draw(uniform);
    return { target, pairs, bits: cues.flat().filter((bit) => bit > 0).length };
  });
}"""


def test_targets_pairs_and_bits_are_equally_likely():
    env = CueReward(batch_size=1, **SMALL)
    count = 2000
    drawn = run_javascript(MANY, {"settings": settings_of(env), "count": count}, SOURCES)
    targets = Counter(each["target"] for each in drawn)
    assert set(targets) == set(range(6))
    assert all(abs(found - count / 6) < 5 * (count * 5 / 36) ** 0.5 for found in targets.values())
    pairs = Counter(tuple(pair) for each in drawn for pair in each["pairs"])
    assert len(pairs) == 30
    trials = 20 * count
    assert all(abs(found - trials / 30) < 5 * (trials * 29 / 900) ** 0.5 for found in pairs.values())
    inside = sum(each["target"] in pair for each in drawn for pair in each["pairs"])
    assert abs(inside / trials - 1 / 3) < 5 * (2 / 9 / trials) ** 0.5
    bits = sum(each["bits"] for each in drawn)
    assert abs(bits / (120 * count) - 0.5) < 5 * 0.5 / (120 * count) ** 0.5


MEMORY = """({ episodes, numCues }) => episodes.map((pairs) =>
  Array.from({ length: numCues }, (_, target) => perfectMemory(pairs, target, numCues)))"""


@pytest.mark.parametrize("num_cues", [3, 4, 6])
def test_the_perfect_memory_of_the_page_earns_what_the_best_player_does(num_cues):
    arguments = SMALL | {"num_cues": num_cues}
    env = CueReward(batch_size=20, generator=torch.Generator().manual_seed(1), **arguments)
    env.reset()
    episodes = env.pairs.tolist()
    players = run_javascript(MEMORY, {"episodes": episodes, "numCues": num_cues}, SOURCES)
    means = []
    for pairs, by_target in zip(episodes, players, strict=True):
        rewards = [
            sum(
                1.0 if trial["answer"] == (target in pair) else -1.0
                for pair, trial in zip(pairs, trials, strict=True)
            )
            for target, trials in enumerate(by_target)
        ]
        means.append(sum(rewards) / num_cues)
        for target, trials in enumerate(by_target):
            left = set(range(num_cues))
            for pair, trial in zip(pairs, trials, strict=True):
                assert trial["answer"] == (len(left & set(pair)) > len(left) / 2)
                left = left & set(pair) if target in pair else left - set(pair)
                assert trial["left"] == sorted(left)
    assert means == pytest.approx(best_rewards(env).tolist())


ATTEMPT = """({ settings, noise, action }) => {
  const task = new CueReward(settings);
  task.reset(noise);
  task.step(action);
  return "nothing";
}"""
REFUSED = f"""(given) => {{
  try {{ return ({ATTEMPT})(given); }} catch (error) {{ return error.message; }}
}}"""


@pytest.mark.parametrize(
    ("part", "name", "value", "words"),
    [
        ("settings", "numCues", 1, "numCues must be a whole number of at least 2, got 1"),
        ("settings", "numCues", 9, "numCues must be at most 8, got 9"),
        ("settings", "cueBits", 2.5, "cueBits must be a whole number"),
        ("settings", "showSteps", None, "showSteps must be a whole number of at least 1, got null"),
        ("settings", "episodeLength", 2, "episodeLength must be a whole number of at least 3, got 2"),
        ("settings", "wrongPenalty", -1, "wrongPenalty must be a number of at least 0, got -1"),
        ("settings", "jitter", 1, 'no setting is called "jitter"'),
        ("noise", "cues", [[1, 1, 1]], "the number of cues must be"),
        ("noise", "cues", [[1, 1, 1], [1, 0, 1]], "a cue must be 3 bits of 1 or -1"),
        ("noise", "target", 2, "target must be a whole number of at least 0 and below 2, got 2"),
        ("noise", "pairs", [[0, 1]], "the number of pairs must be"),
        ("noise", "pairs", [[0, 1], [1, 1]], "a pair must be two different cues"),
        ("noise", "pairs", [[0, 1], [0, 2]], "a cue of a pair must be"),
        (None, "action", 2, "action must be a whole number of at least 0 and below 2, got 2"),
    ],
)
def test_the_task_refuses_what_it_does_not_know(part, name, value, words):
    given = {
        "settings": settings_of(
            CueReward(num_cues=2, cue_bits=3, batch_size=1, episode_length=6, pause_steps=0)
        ),
        "noise": {"cues": [[1, 1, 1], [1, -1, 1]], "target": 0, "pairs": [[0, 1], [1, 0]]},
        "action": 1,
    }
    assert run_javascript(REFUSED, given, SOURCES) == "nothing"
    if part is None:
        given[name] = value
    else:
        given[part][name] = value
    assert run_javascript(REFUSED, given, SOURCES).startswith(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_cues": 27}, "num_cues must be a whole number from 2 to 26, got 27"),
        ({"cue_bits": 101}, "cue_bits must be a whole number from 1 to 100, got 101"),
        ({"cue_bits": 1, "num_cues": 4}, "num_cues must be at most 2"),
        ({"episode_length": 5}, "episode_length must be"),
        ({"episode_length": (60, 60)}, "episode_length must be one or more different numbers"),
        ({"episode_length": ()}, "episode_length must be one or more different numbers"),
        ({"episode_length": 1001}, "episode_length must be a whole number from 1 to 1000, got 1001"),
        ({"episode_length": "60"}, "episode_length must be a whole number"),
        ({"wrong_penalty": -1}, "wrong_penalty must be"),
        ({"seed": -1}, "seed must be"),
        ({"title": ""}, "title must be"),
    ],
)
def test_other_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        cues.play_cues(**arguments)


def test_the_scores_of_the_others_are_those_of_python():
    live = cues.play_cues(**SMALL | {"episode_length": (60, 30)})
    earned = live.data["earned"]
    for length in (60, 30, 9):
        env = CueReward(batch_size=1, **SMALL | {"episode_length": length})
        expected = expected_rewards(env)
        assert {player: total[length // 3 - 1] for player, total in earned.items()} == pytest.approx(expected)
    assert earned["no"][-1] == pytest.approx(20 / 3)
    assert live.data["settings"]["steps"] == ["60", "30"]
    page = html.unescape(live._repr_html_())
    assert 'data-name="cues"' in page
    assert len(page) < 100_000


FIGURES = {
    "cues": ("play_cues(", cues.allowed_settings([60, 30])),
    "maze": ("play_maze(", widgets.play_maze(episode_length=(200, 50)).data["settings"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_link_of_the_book_is_one_that_its_figure_follows(name):
    made, allowed = FIGURES[name]
    found = 0
    for path in CHAPTERS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        links = [
            settings
            for cell in cells
            if cell["cell_type"] == "markdown"
            for settings in re.findall(rf'<a href="#{name}:([^"]*)">', "".join(cell["source"]))
        ]
        if not links:
            continue
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert sum(made in "".join(cell["source"]) for cell in code) == 1, "which one would it drive?"
        read = run_javascript(
            "({ links, allowed }) => links.map((link) => readSettings(link, allowed))",
            {"links": links, "allowed": allowed},
            SOURCES,
        )
        assert len(read) == len(links)
        found += len(links)
    assert found >= 2
