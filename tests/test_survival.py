"""Killed at any moment, given any settings, handed any file: a run goes on, or refuses in one line."""

import math
import os
import random
import shutil
import signal
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import SMALL, assert_equal_weights, weights

from bpa import TrainConfig, train
from bpa.cli import main
from bpa.train import Diverged
from bpa.training import checkpoint as runs
from bpa.training.tasks import SETTINGS

KILLS = int(os.environ.get("BPA_KILLS", "5"))
CONFIGS = int(os.environ.get("BPA_CONFIGS", "300"))
FILES = int(os.environ.get("BPA_FILES", "100"))


def killed_after(seconds, config):
    """Train in a child process that is killed after so many seconds; whether it was done before that."""
    child = os.fork()
    if child == 0:
        try:
            train(config)
            os._exit(0)
        except BaseException:  # the parent must hear of it, and pytest must not run on in the child
            os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the child failed by itself"
    return status == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_run_killed_at_random_moments_ends_in_the_same_bits(tmp_path):
    config = SMALL.replace(iterations=60, checkpoint_every=1, engine="eager", out=str(tmp_path / "run"))
    started = time.perf_counter()
    whole = train(config.replace(out=str(tmp_path / "whole")))
    duration = time.perf_counter() - started
    moment = random.Random(8)
    kills = 0
    while kills < KILLS:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        done = False
        while not done and kills < KILLS:
            resume = (tmp_path / "run").exists()
            done = killed_after(moment.uniform(0, duration / 3), config.replace(resume=resume))
            kills += not done
    resumed = train(config.replace(resume=(tmp_path / "run").exists()))
    assert_equal_weights(weights(whole), weights(resumed))
    assert [record[:4] for record in whole.history] == [record[:4] for record in resumed.history]
    finished = runs.load_checkpoint(tmp_path / "run").tensors
    expected = runs.load_checkpoint(tmp_path / "whole").tensors
    assert_equal_weights(expected, finished)
    assert runs.read_history(tmp_path / "run" / "history.csv") == resumed.history
    assert_equal_weights(runs.load_weights(tmp_path / "run")[0].state_dict(), weights(whole))


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.integers(-3, 300),
    st.floats(),
    st.floats(-1, 2),
    st.text(max_size=5),
    st.sampled_from(["none", "simple", "eager", "linear", "cues", "recall", "lstm", "oja", "skip", "digits"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
FIELDS = list(TrainConfig().as_dict())
NESTED = [(task, name) for task, kind in SETTINGS.items() for name in vars(kind())]


@st.composite
def fields(draw):
    """One to four settings, each of any value."""
    chosen = {}
    for place in draw(st.lists(st.sampled_from([*FIELDS, *NESTED]), min_size=1, max_size=4)):
        if isinstance(place, tuple):
            table = chosen.setdefault(place[0], {})
            if isinstance(table, dict):
                table[place[1]] = draw(anything)
        else:
            chosen[place] = draw(anything)
    return chosen


@settings(max_examples=CONFIGS, deadline=20_000, suppress_health_check=[HealthCheck.too_slow])
@given(fields())
def test_any_settings_make_a_config_or_are_refused_by_name(chosen):
    try:
        config = TrainConfig.from_dict(chosen)
    except ValueError:
        return
    assert TrainConfig.from_dict(config.as_dict()) == config


@settings(max_examples=max(20, CONFIGS // 20), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(FIELDS + [".".join(place) for place in NESTED]), anything), max_size=3)
)
def test_any_command_line_is_obeyed_or_refused_in_one_line(tmp_path_factory, flags):
    folder = tmp_path_factory.mktemp("line")
    asked = [f"--{name.replace('_', '-')}={value}" for name, value in flags if name not in ("out", "resume")]
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("bpa.commands.train", lambda config, network: seen.append(config) or train(SMALL))
        code = main(["train", *asked, "--quiet"])
    assert code == (0 if seen else 2)
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival") / "run"
    train(SMALL.replace(iterations=2, batch_size=1, hidden_size=2, engine="eager", out=str(folder)))
    return folder


@st.composite
def damage(draw, size=2**16):
    """Changes to a file: places and bytes, a cut, or an insertion; most of them in its readable head."""
    place = st.one_of(st.integers(0, 3000), st.integers(0, size))
    changes = draw(st.lists(st.tuples(place, st.binary(min_size=1, max_size=4)), max_size=4))
    return (
        changes,
        draw(st.one_of(st.none(), place)),
        draw(st.one_of(st.none(), st.tuples(place, st.binary(max_size=9)))),
    )


@settings(max_examples=FILES, deadline=None, suppress_health_check=list(HealthCheck))
@given(damage())
def test_any_damage_to_a_checkpoint_is_named_or_does_no_harm(run, tmp_path_factory, harm):
    folder = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(run, folder)
    changes, cut, insertion = harm
    data = bytearray((folder / runs.CHECKPOINT).read_bytes())
    for place, new in changes:
        data[place % len(data) : place % len(data) + len(new)] = new
    if cut is not None:
        del data[cut % len(data) :]
    if insertion is not None:
        place = insertion[0] % (len(data) + 1)
        data[place:place] = insertion[1]
    (folder / runs.CHECKPOINT).write_bytes(data)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    try:
        config = runs.load_checkpoint(folder).config
        work = config.iterations * config.batch_size * config.episode_length * config.hidden_size**2
        if work < 10**4:  # a digit changed in it may ask for a run of years
            train(config.replace(out=str(folder), resume=True, quiet=True))
    except ValueError:
        assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    except Diverged:
        assert (folder / runs.CHECKPOINT).exists()
    shutil.rmtree(folder.parent)


def test_a_checkpoint_with_impossible_numbers_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    checkpoint = runs.load_checkpoint(run)
    config = checkpoint.config.replace(out=str(tmp_path / "run"), resume=True)
    for changes in (
        {"iteration": -1},
        {"seconds": math.nan},
        {"learning_rate_scale": math.inf},
        {"learning_rate_scale": 0.0},
        {"left_out": -1},
        {"left_out_in_all": -1},
        {"left_out_in_all": 10**6},
    ):
        runs.save_checkpoint(tmp_path / "run", checkpoint._replace(**changes))
        with pytest.raises(ValueError, match=r"checkpoint.safetensors: " + next(iter(changes)) + " must be"):
            train(config)
    runs.save_checkpoint(tmp_path / "run", checkpoint._replace(iteration=10**6))
    with pytest.raises(ValueError, match="is of iteration 1000000, after the last one, 2"):
        train(config)


def test_what_does_not_fit_into_memory_is_said_in_one_line(tmp_path, capsys):
    flags = [
        "--batch-size",
        "1000000",
        "--episode-length",
        "1000000",
        "--hidden-size",
        "4096",
        "--engine",
        "eager",
    ]
    assert main(["train", *flags, "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("bpa: not enough memory")
    assert runs.load_checkpoint(tmp_path / "run").iteration == 0  # and can be resumed where there is more
