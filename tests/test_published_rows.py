"""Chapter 16's tables: each row rests on a fact about its source, and on our code where it can run both ways.

FACTS holds what was read in the paper and in the published programs, in our own words and numbers. A cell of
the chapter may hold the numbers of its fact and no others. RUNS and FILES show for a row that the code does
what the row says of this project, and of the settings that stand for a program.
"""

import copy
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat import NotebookNode
from torch import Tensor

from bpa import GridMaze, Network, TrainConfig, train
from bpa.cells.lstm import LSTM
from bpa.cells.published import load_published
from bpa.envs.cue_reward import CueReward
from bpa.maze import maze_walls
from bpa.training.a2c import a2c_loss
from bpa.training.presets import published

CHAPTER = Path(__file__).parents[1] / "book" / "chapters" / "16_published_code.ipynb"
TEXT, README, FULL, ALL, OWN, HERE = (
    "Paper's text",
    "README's program",
    "Full runs",
    "Programs",
    "Its program",
    "Here",
)
VARIANTS = ("none", "plastic", "simple", "retroactive")

Table = dict[str, dict[str, str]]  # row -> column -> what the cell says


def says(*words: str | float) -> tuple[str | float, ...]:
    """What a cell has to say: words, and all of its numbers."""
    return words


EMPTY = says()
# Row -> column -> words and numbers. A column that a table does not have is left out.
FACTS: dict[str, dict[str, tuple[str | float, ...]]] = {
    "baseline": {TEXT: EMPTY, ALL: says("first episode"), HERE: says("its own", "baseline")},
    "old E": {TEXT: EMPTY, ALL: says("before this step"), HERE: says("the same")},
    # Both the maze and the cue task: a sum of squares, no entropy.
    "concentration": {
        TEXT: EMPTY,
        ALL: says(r"\pi(a)^2", 0.03, "maze", 0.1, "cue task"),
        HERE: says(0.01, "concentration_coef"),
    },
    "rate": {TEXT: EMPTY, ALL: says(0.0001), HERE: says(0.001, "learning_rate")},
    "warm-up": {TEXT: EMPTY, ALL: says(101, "running means"), HERE: says(0, "warmup_iterations")},
    "side": {
        TEXT: says(9),
        README: says(11),
        FULL: says(13, "scripts", 9, "default"),
        HERE: says(11, "size"),
    },
    "landmark": {TEXT: says(13), README: says(4), FULL: says(13), HERE: says("the same")},
    "variants": {TEXT: EMPTY, README: says("simple"), FULL: says(*VARIANTS), HERE: says("all four", "LSTMs")},
    "neurons": {
        TEXT: says(100),
        README: says(100),
        FULL: says(100, "modulated", 101, "plastic", 139, "without", 100),
        HERE: says(100, "hidden_size"),
    },
    "fan-out": {TEXT: EMPTY, README: says("yes"), FULL: says("no"), HERE: says("yes", "fanout")},
    "clip": {TEXT: EMPTY, README: says(2), FULL: says(1), HERE: says(2, "clip")},
    "inputs": {TEXT: EMPTY, README: says("column"), FULL: says("row"), HERE: says("column")},
    "names": {TEXT: EMPTY, README: says("h2mod"), FULL: says("h2DA", "etaet"), HERE: says("h2mod", "eta")},
    "first values": {TEXT: EMPTY, README: says(0.001), FULL: says(0.01), HERE: says(0.001)},
    "runs": {TEXT: says(9), README: EMPTY, FULL: says(10, "scripts"), HERE: says("seeds")},
    "length": {TEXT: EMPTY, README: EMPTY, FULL: says(200_002), HERE: says(3000, "iterations")},
    "cue steps": {TEXT: says(200), OWN: says(120), HERE: says(200, "episode_length")},
    # Two of four cues in any order among 0 to 3 more blanks, after one blank and before Go and another blank.
    "cue trial": {TEXT: EMPTY, OWN: says(5, 8, "two cues", "blanks"), HERE: says(6, "trials")},
    "cue penalty": {TEXT: EMPTY, OWN: says("costs", 1, "README", "nothing"), HERE: says(0, "wrong_penalty")},
    "cue clip": {TEXT: says(7), OWN: says(1), HERE: says(2, "clip")},
    "cue runs": {TEXT: says(10, "figure"), OWN: says(10, "scripts"), HERE: says("seeds")},
    "cue neurons": {TEXT: says(200), OWN: says(200), HERE: says(100, "hidden_size")},
    "cue length": {TEXT: EMPTY, OWN: says(200_000), HERE: says(3000, "iterations")},
    "cue gradient": {TEXT: EMPTY, OWN: says(2), HERE: says(4, "max_gradient_norm")},
    "cue epsilon": {TEXT: EMPTY, OWN: says(1e-6), HERE: says(1e-4, "adam_eps")},
    "cue first values": {TEXT: EMPTY, OWN: says(0.01, 0.1), HERE: says(0.001, 0.01)},
    "cue eta": {TEXT: EMPTY, OWN: says("without modulation"), HERE: says("none")},
    "cue action": {TEXT: EMPTY, OWN: says("none"), HERE: says(0)},
    "lstm retroactive": {TEXT: says("table"), OWN: says("not there"), HERE: says("there")},
    "lstm alpha": {TEXT: EMPTY, OWN: says("neuron"), HERE: says("connection", "alpha")},
    "lstm post": {TEXT: EMPTY, OWN: says("candidate", "after its tanh"), HERE: says("the same")},
    "lstm rate": {TEXT: EMPTY, OWN: says("fan-out", "new $h$"), HERE: says("the same")},
    "lstm clip": {TEXT: EMPTY, OWN: says(2), HERE: says(2, "clip")},
    "lstm first values": {TEXT: EMPTY, OWN: says(0.0001), HERE: says(0.001)},
    "lstm gradient": {TEXT: EMPTY, OWN: says("divided"), HERE: says("as it is")},
}
# Nothing runs for these: how often the authors ran a program, and what is in a program that we do not have.
FACT_ALONE = {"runs", "cue runs", "lstm gradient"}


def rows_of(notebook: NotebookNode) -> Table:
    """All rows of the tables that a chapter marks as such, by the name in their first column."""
    table: Table = {}
    for cell in notebook.cells:
        if "rows" not in cell.metadata.get("tags", []):
            continue
        lines = [line for line in cell.source.splitlines() if line.startswith("|")]
        head, _, *body = ([part.strip() for part in line.strip("|").split("|")] for line in lines)
        for line in body:
            name = line[0].strip("`")
            assert name not in table, f"{name} stands in two rows"
            table[name] = dict(zip(head[1:], line[1:], strict=True))
    return table


def numbers_in(cell: str) -> list[float]:
    """The numbers of a cell, without those in formulas, code and settings."""
    plain = re.sub(r"\$[^$]*\$|`[^`]*`", "", cell)
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", plain)]


def faults(table: Table) -> list[str]:
    """What the tables say that no fact bears out, and the facts that they leave out."""
    found = [f"{name}: no row" for name in FACTS if name not in table]
    found += [f"{name}: no fact" for name in table if name not in FACTS]
    for name in FACTS.keys() & table.keys():
        row = {column: cell for column, cell in table[name].items() if column != "What"}
        if row.keys() != FACTS[name].keys():
            found.append(f"{name}: other columns than its facts have")
            continue
        for column, cell in row.items():
            fact = FACTS[name][column]
            if numbers_in(cell) != [word for word in fact if not isinstance(word, str)]:
                found.append(f"{name}, {column}: other numbers than {fact}")
            if any(word not in cell for word in fact if isinstance(word, str)) or bool(cell) != bool(fact):
                found.append(f"{name}, {column}: other words than {fact}")
    return found


@pytest.fixture(scope="module")
def chapter() -> NotebookNode:
    return nbformat.read(CHAPTER, as_version=4)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_row_says_what_its_facts_say(chapter):
    table = rows_of(chapter)
    assert len(table) > 30
    assert faults(table) == []


@pytest.mark.parametrize(
    ("row", "column", "cell", "fault"),
    [
        ("side", FULL, "13", "side, Full runs: other numbers"),
        ("side", README, "13 in the run scripts", "side, README's program: other numbers"),
        ("cue runs", TEXT, "9", "cue runs, Paper's text: other numbers"),
        ("cue penalty", OWN, "costs nothing", "cue penalty, Its program: other numbers"),
        ("inputs", FULL, "in a column", "inputs, Full runs: other words"),
        ("lstm retroactive", OWN, "there too", "lstm retroactive, Its program: other words"),
        ("clip", TEXT, "1", "clip, Paper's text: other numbers"),
        ("variants", TEXT, "all four", "variants, Paper's text: other words"),
    ],
)
def test_a_row_that_says_something_else_is_caught(chapter, row, column, cell, fault):
    table = copy.deepcopy(rows_of(chapter))
    table[row][column] = cell
    assert any(line.startswith(fault) for line in faults(table))


def test_a_row_that_is_missing_or_invented_is_caught(chapter):
    table = rows_of(chapter)
    left_out = {name: row for name, row in table.items() if name != "landmark"}
    assert faults(left_out) == ["landmark: no row"]
    assert faults(table | {"colour": table["side"]}) == ["colour: no fact"]


def test_every_row_has_a_place_in_the_ledger(chapter):
    (ledger,) = [cell.source for cell in chapter.cells if cell.id == "ledger"]
    first = [line.split("|")[1] for line in ledger.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([^`]+)`", " ".join(first))) == sorted(FACTS)


# What runs, a function for each row.


def views_once(size: int) -> int:
    """Cells of the maze whose 3 x 3 neighbourhood occurs once, by brute force."""
    walls = maze_walls(size)
    windows = walls.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2)[~walls[1:-1, 1:-1]]
    return sum(int((windows == window).all(1).sum()) == 1 for window in windows)


def loss_in_order(order: list[int], baseline: str, coefficient: float = 0.0) -> Tensor:
    generator = seeded(1)
    logits = torch.randn(6, 3, 4, generator=generator)
    values, rewards = torch.randn(2, 6, 3, generator=generator)
    actions = torch.randint(4, (6, 3), generator=generator)
    parts = (part[:, order] for part in (logits, values, actions, rewards))
    return a2c_loss(*parts, baseline=baseline, concentration_coef=coefficient)


def baseline() -> None:
    assert torch.allclose(loss_in_order([0, 1, 2], "own"), loss_in_order([1, 0, 2], "own"))
    assert not torch.allclose(loss_in_order([0, 1, 2], "first"), loss_in_order([1, 0, 2], "first"))
    assert {published(program).baseline for program in ("simplemaze", "maze", "cues")} == {"first"}
    assert TrainConfig().baseline == "own"


def old_e() -> None:
    net = Network(3, 4, 2, plasticity="retroactive", generator=seeded(2)).requires_grad_(False)
    net.eta.fill_(0.5)
    pre, post = torch.rand(2, 1, 4, generator=seeded(3))
    hebb, eligibility = net.rewire(pre, post, torch.zeros(1, 4, 4), torch.zeros(1, 4, 4))
    assert not hebb.any()
    assert torch.allclose(eligibility, 0.5 * pre[:, :, None] * post[:, None, :])


def concentration() -> None:
    logits = torch.randn(5, 2, 4, generator=seeded(4))
    nothing, actions = torch.zeros(5, 2), torch.zeros(5, 2, dtype=torch.long)
    by_hand = torch.softmax(logits, -1).square().sum(-1).mean()
    for program, coefficient in (("simplemaze", 0.03), ("maze", 0.03), ("cues", 0.1)):
        assert published(program).concentration_coef == coefficient
        loss = a2c_loss(logits, nothing, actions, nothing, concentration_coef=coefficient)
        assert torch.allclose(loss, coefficient * by_hand)
    assert TrainConfig().concentration_coef == 0.01


def rate() -> None:
    assert {published(program).learning_rate for program in ("simplemaze", "maze", "cues")} == {1e-4}
    assert (TrainConfig().learning_rate, TrainConfig().optimizer) == (1e-3, "adam")


def warm_up() -> None:
    assert {published(program).warmup_iterations for program in ("simplemaze", "maze", "cues")} == {101}
    assert TrainConfig().warmup_iterations == 0
    tiny = TrainConfig(
        iterations=2,
        warmup_iterations=2,
        size=5,
        episode_length=6,
        batch_size=2,
        hidden_size=4,
        engine="eager",
        quiet=True,
    )
    waited = train(tiny).network.state_dict()
    moved = train(tiny.replace(warmup_iterations=1)).network.state_dict()
    fresh = Network(17, 4, 4, generator=seeded(0)).state_dict()
    assert all(torch.equal(waited[name], tensor) for name, tensor in fresh.items())
    assert not all(torch.equal(moved[name], tensor) for name, tensor in fresh.items())


def side() -> None:
    assert [GridMaze(size).walls.shape[0] for size in (9, 11, 13)] == [9, 11, 13]
    assert (published("simplemaze").size, published("maze").size, TrainConfig().size) == (11, 13, 11)


def landmark() -> None:
    assert [views_once(size) for size in (9, 11, 13)] == [13, 4, 13]


def variants() -> None:
    assert [published("maze", variant).plasticity for variant in VARIANTS] == list(VARIANTS)
    assert published("simplemaze").plasticity == "simple"
    with pytest.raises(ValueError, match="plasticity"):
        published("simplemaze", "plastic")


def neurons() -> None:
    sizes = [published("maze", variant).hidden_size for variant in VARIANTS]
    assert sizes == [139, 101, 100, 100]
    assert published("simplemaze").hidden_size == TrainConfig().hidden_size == 100


def fan_out() -> None:
    assert (published("simplemaze").fanout, published("maze").fanout, TrainConfig().fanout) == (
        True,
        False,
        True,
    )
    gains = Network(3, 4, 2, fanout=True, generator=seeded(5)).requires_grad_(False)
    without = Network(3, 4, 2, fanout=False)
    gains.modfanout.weight.fill_(1)
    gains.modfanout.bias.zero_()
    without.load_state_dict({k: v for k, v in gains.state_dict().items() if "modfanout" not in k})
    xs = torch.randn(9, 2, 3, generator=seeded(6))
    assert torch.allclose(gains.unroll(xs).logits, without.unroll(xs).logits, atol=1e-6)


def clip() -> None:
    for bound, kind in ((2.0, published("simplemaze").clip), (1.0, published("maze").clip)):
        assert kind == bound
        net = Network(3, 4, 2, clip=kind, generator=seeded(7)).requires_grad_(False)
        for parameter in net.parameters():
            parameter.uniform_(-3, 3, generator=seeded(8))
        hebb = net.unroll(10 * torch.randn(60, 2, 3, generator=seeded(9))).hidden.hebb
        assert hebb.abs().max() == bound
    assert TrainConfig().clip == 2


def written(folder: Path, state: dict[str, Tensor], program: str) -> Network:
    path = folder / f"{program}.dat"
    torch.save(state, path)
    return load_published(path, program=program)


def inputs(folder: Path) -> None:
    straight = Network(3, 4, 2, plasticity="simple", fanout=True, generator=seeded(10)).state_dict()
    loaded = written(folder, straight, "simplemaze")
    assert torch.equal(loaded.w, straight["w"])
    turned = Network(3, 4, 2, plasticity="plastic", generator=seeded(11)).state_dict()
    loaded = written(folder, turned, "maze")
    assert torch.equal(loaded.w, turned["w"].T)
    assert torch.equal(loaded.alpha, turned["alpha"].T)


def names(folder: Path) -> None:
    state = Network(
        3, 4, 2, plasticity="retroactive", fanout=False, initial_eta=0.25, generator=seeded(12)
    ).state_dict()
    theirs = {"h2mod.weight": "h2DA.weight", "h2mod.bias": "h2DA.bias", "eta": "etaet"}
    loaded = written(folder, {theirs.get(name, name): tensor for name, tensor in state.items()}, "maze")
    assert torch.equal(loaded.h2mod.weight, state["h2mod.weight"])
    assert float(loaded.eta.detach()) == 0.25


def drawn_up_to(width: float) -> None:
    """w and alpha of a new network fill [0, width)."""
    net = Network(3, 40, 2, initial_weight=width, generator=seeded(13))
    for weights in (net.w, net.alpha):
        assert 0 <= weights.min() < 0.1 * width
        assert 0.9 * width < weights.max() < width


def first_values() -> None:
    for config, width in (
        (published("simplemaze"), 0.001),
        (published("maze"), 0.01),
        (TrainConfig(), 0.001),
    ):
        assert config.initial_weight == width
        drawn_up_to(width)


def length() -> None:
    assert (published("maze").iterations, TrainConfig().iterations) == (200_002, 3000)


def cue_steps() -> None:
    assert published("cues").episode_length == 120
    assert TrainConfig(task="cues").episode_length == CueReward().episode_length == 200


def cue_trial() -> None:
    assert CueReward().trial_length == 6
    assert published("cues").cues.trials == "published"
    env = CueReward(batch_size=300, episode_length=120, trials="published", generator=seeded(14))
    env.reset()
    steps = torch.diff(env.go, dim=1)[env.go[:, 1:] < 120]  # from one Go to the next: blank to Go varies
    assert steps.unique().tolist() == [5, 6, 7, 8]
    before_first_go = env.shown[: int(env.go[0, 0]), 0].any(1)
    assert not before_first_go[0]
    assert before_first_go.sum() == 2


def cue_penalty() -> None:
    totals = []
    for penalty in (0.0, 1.0):
        env = CueReward(batch_size=20, wrong_penalty=penalty, generator=seeded(14))
        env.reset()
        total = torch.zeros(20)
        for _ in range(env.episode_length):
            total += env.step(torch.ones(20, dtype=torch.long))[1]
        totals.append(total)
    trials = (env.go < env.episode_length).sum(1)
    assert torch.equal(totals[1], 2 * totals[0] - trials)
    assert published("cues").cues.wrong_penalty == 1
    assert TrainConfig().cues.wrong_penalty == 0


def cue_clip() -> None:
    assert (published("cues").clip, TrainConfig(task="cues").clip) == (1, 2)


def cue_neurons() -> None:
    assert [published("cues", variant).hidden_size for variant in VARIANTS] == [200] * 4
    assert TrainConfig(task="cues").hidden_size == 100


def cue_length() -> None:
    assert (published("cues").iterations, TrainConfig(task="cues").iterations) == (200_000, 3000)


def cue_gradient() -> None:
    assert (published("cues").max_gradient_norm, TrainConfig().max_gradient_norm) == (2, 4)


def cue_epsilon() -> None:
    assert (published("cues").adam_eps, TrainConfig().adam_eps) == (1e-6, 1e-4)


def cue_first_values() -> None:
    theirs, ours = published("cues"), TrainConfig()
    assert (theirs.initial_weight, theirs.initial_eta) == (0.01, 0.1)
    assert (ours.initial_weight, ours.initial_eta) == (0.001, 0.01)
    assert float(Network(3, 4, 2, plasticity="plastic", initial_eta=0.1).eta.detach()) == pytest.approx(0.1)
    drawn_up_to(0.01)


def cue_eta(folder: Path) -> None:
    state = Network(3, 4, 2, plasticity="simple", fanout=False, generator=seeded(15)).state_dict()
    assert "eta" not in state
    theirs = {name.replace("h2mod", "h2DA"): tensor for name, tensor in state.items()}
    loaded = written(folder, theirs | {"eta": torch.full((1,), 0.5)}, "cues")
    assert "eta" not in loaded.state_dict()


def cue_action() -> None:
    for trials, action in (("published", [0.0, 0.0]), ("regular", [1.0, 0.0])):
        observation = CueReward(batch_size=3, trials=trials, generator=seeded(16)).reset()
        assert observation[:, -2:].tolist() == [action] * 3


def lstm(**settings: object) -> LSTM:
    net = LSTM(3, 5, 2, generator=seeded(17), **settings).requires_grad_(False)
    for parameter in net.parameters():
        parameter.uniform_(-1, 1, generator=seeded(18))
    return net


def lstm_retroactive() -> None:
    out = lstm(plasticity="retroactive").unroll(torch.randn(4, 2, 3, generator=seeded(19)))
    assert out.hidden.eligibility.any()


def lstm_alpha() -> None:
    assert LSTM(3, 5, 2, plasticity="simple").alpha.shape == (5, 5)
    assert LSTM(3, 5, 2, plasticity="simple", alpha="neuron").alpha.shape == (1, 5)


def lstm_step() -> None:
    """What one step writes: the rate, by fan-out of M from the new h, times old h times the candidate."""
    net = lstm(plasticity="simple", clip=100.0)
    start = net.initial_state(2)._replace(h=torch.randn(2, 5, generator=seeded(20)).tanh())
    x = torch.randn(2, 3, generator=seeded(21))
    i, _, o, g = (net.i2h(x) + start.h @ net.w).chunk(4, dim=1)  # the cell is empty: nothing to forget
    candidate = torch.tanh(g)  # the trace is empty still, so that nothing is added to it
    new = torch.sigmoid(o) * torch.tanh(torch.sigmoid(i) * candidate)
    gain = net.modfanout(torch.tanh(net.h2mod(new)))
    expected = gain[:, None, :] * start.h[:, :, None] * candidate[:, None, :]
    assert torch.allclose(net(x, start)[2].hebb, expected, atol=1e-6)


def lstm_clip() -> None:
    assert LSTM(3, 5, 2, plasticity="simple").clip == 2


def lstm_first_values() -> None:
    alpha = LSTM(3, 40, 2, plasticity="simple", generator=seeded(22)).alpha
    assert 0.0009 < alpha.max() < 0.001
    assert LSTM(3, 40, 2, plasticity="simple", initial_weight=1e-4, generator=seeded(22)).alpha.max() < 1e-4


RUNS: dict[str, Callable[[], None]] = {
    "baseline": baseline,
    "old E": old_e,
    "concentration": concentration,
    "rate": rate,
    "warm-up": warm_up,
    "side": side,
    "landmark": landmark,
    "variants": variants,
    "neurons": neurons,
    "fan-out": fan_out,
    "clip": clip,
    "first values": first_values,
    "length": length,
    "cue steps": cue_steps,
    "cue trial": cue_trial,
    "cue penalty": cue_penalty,
    "cue clip": cue_clip,
    "cue neurons": cue_neurons,
    "cue length": cue_length,
    "cue gradient": cue_gradient,
    "cue epsilon": cue_epsilon,
    "cue first values": cue_first_values,
    "cue action": cue_action,
    "lstm retroactive": lstm_retroactive,
    "lstm alpha": lstm_alpha,
    "lstm post": lstm_step,
    "lstm rate": lstm_step,
    "lstm clip": lstm_clip,
    "lstm first values": lstm_first_values,
}
FILES: dict[str, Callable[[Path], None]] = {"inputs": inputs, "names": names, "cue eta": cue_eta}


def test_the_chapter_counts_its_rows_and_the_places_that_differ(chapter):
    alike = {"old E", "lstm post", "lstm rate", "lstm clip"}  # here as in the programs
    for name in alike:
        programs = FACTS[name].get(ALL) or FACTS[name][OWN]
        here = FACTS[name][HERE]
        assert here == says("the same") or here[0] == programs[0]
    assert len(FACTS) == 35
    assert len(FACTS.keys() - alike) == 31
    text = {cell.id: cell.source for cell in chapter.cells}
    assert "There are 35 rows; in four of them" in text["three-texts"]
    assert "In 31 places" in text["goals"]
    assert "differ in 31 places" in text["summary"]


def test_every_row_runs_or_rests_on_a_fact_alone():
    assert RUNS.keys() | FILES.keys() | FACT_ALONE == FACTS.keys()
    assert not FACT_ALONE & (RUNS.keys() | FILES.keys())


@pytest.mark.parametrize("row", RUNS)
def test_a_row_runs(row):
    RUNS[row]()


@pytest.mark.parametrize("row", FILES)
def test_a_row_is_read_from_a_file(row, tmp_path):
    FILES[row](tmp_path)
