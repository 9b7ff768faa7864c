"""What ships in the package: equal to its sources, small, found by name, and refused by name."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bpa import GridMaze, data, evaluate
from bpa.cli import main
from bpa.experiments.evaluate import report
from bpa.experiments.reproduce import read_table
from bpa.experiments.statistics import Final, Point
from bpa.training import checkpoint as runs

ROOT = Path(__file__).parents[1]


def digests(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder, but what Python leaves there, by its path inside."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


def test_every_file_that_ships_equals_its_source():
    shipped = digests(Path(data.__file__).parent)
    del shipped["__init__.py"]
    kept = digests(ROOT / "results") | {
        f"benchmarks/{name}": digest for name, digest in digests(ROOT / "benchmarks").items()
    }
    assert {name: kept.get(name) for name in shipped} == shipped


def test_every_agent_and_every_table_of_results_ships():
    assert data.agents() == ("maze-9", "maze-11", "maze-13")
    assert set(data.agents()) == {path.stem for path in (ROOT / "results" / "agents").glob("*.json")}
    tables = {path.parent.name for path in (ROOT / "results").glob("*/settings.json")}
    assert data.comparisons() == tuple(sorted(tables))
    assert {"maze", "maze-quick", "cues", "cues-quick", "changes"} <= tables


def test_what_ships_is_small():
    folder = Path(data.__file__).parent
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 4_000_000


def test_tables_can_be_read():
    drawn = {"maze", "maze-quick", "cues", "cues-quick", "changes", "repeat-previous", "count-recall"}
    for name in data.comparisons():
        folder = data.path(name)
        settings = json.loads((folder / "settings.json").read_text(encoding="utf8"))
        assert len(read_table(folder / "final.csv", Final)) >= 15
        assert settings["seeds"] >= (1 if name.endswith("rates") else 3)
        assert (folder / "curves.csv").exists() == (name in drawn)
        assert name not in drawn or read_table(folder / "curves.csv", Point)
    report = json.loads(data.path("cpu").read_text(encoding="utf8"))
    assert {case["engine"] for case in report["cases"]} >= {"eager", "numba"}


@pytest.mark.parametrize("name", ["maze-9", "maze-11", "maze-13"])
def test_an_agent_is_what_is_noted_beside_it(name):
    net, config = runs.load_weights(name)
    assert f"maze-{config.size}" == name
    noted = json.loads(data.path(name).with_suffix(".json").read_text(encoding="utf8"))
    scores = report(net, config, episodes=60, seed=3)
    assert noted.keys() == scores.keys()
    assert abs(scores["mean_reward"] - noted["mean_reward"]) < 5 * scores["standard_error"]
    for name in ("random_reward", "oracle_reward", "ceiling"):
        assert noted[name] == pytest.approx(scores[name])
    assert noted["share_of_ceiling"] == pytest.approx(noted["mean_reward"] / noted["ceiling"])


@pytest.mark.parametrize("name", data.agents())
def test_what_an_agent_earns_in_short_episodes_is_what_is_told(name):
    net, config = runs.load_weights(name)
    told = json.loads((data.HERE / "short" / f"{name}.json").read_text(encoding="utf8"))
    maze = GridMaze(config.size, 100, told["episode_length"], config.reward, config.wall_penalty)
    score = evaluate(net, maze, episodes=300, seed=17)
    assert abs(score.mean - told["mean_reward"]) < 4 * math.hypot(
        score.standard_error, told["standard_error"]
    )


@pytest.mark.parametrize("name", ["maze-12", "", "agents", "../data", "agents/maze-9", "maze-9.json", "."])
def test_an_unknown_name_is_refused_with_what_there_is(name):
    with pytest.raises(ValueError, match="name must be one of") as refusal:
        data.path(name)
    assert repr(name) in str(refusal.value)
    for known in (*data.agents(), *data.comparisons(), "cpu"):
        assert repr(known) in str(refusal.value)


@pytest.mark.parametrize("name", [None, 11, b"maze-11", ["maze-11"]])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="name must be one of"):
        data.path(name)
    with pytest.raises(ValueError, match="path must be"):
        runs.load_weights(name)


def test_commands_take_an_agent_by_its_name_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "maze-11", "--episodes", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 4
    assert main(["play", "maze-9", "--save", "film.gif"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]


def test_a_path_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(data.path("maze-13"), "maze-11")
    assert runs.load_weights("maze-11")[1].size == 13
    Path("maze-9").mkdir()
    with pytest.raises(ValueError, match=r"maze-9.weights\.safetensors does not exist"):
        runs.load_weights("maze-9")
    shutil.copy(data.path("maze-13"), Path("maze-9") / "weights.safetensors")
    assert runs.load_weights("maze-9")[1].size == 13
    monkeypatch.chdir(tmp_path.parent)
    assert runs.load_weights(Path("maze-9"))[1].size == 9


@pytest.mark.parametrize("source", ["maze-12", "agents/maze-11", "x" * 5000, "MAZE-11 ", "maze-quick"])
def test_where_path_and_name_fail_the_error_names_both(source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", source, "--episodes", "4"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{source.strip()} does not exist" in " ".join(said.split())
    assert "no agent of that name ships: there are maze-9, maze-11, maze-13" in said


def test_loading_what_ships_changes_nothing_of_it():
    before = digests(Path(data.__file__).parent)
    state = torch.get_rng_state()
    net, _ = runs.load_weights("maze-9")
    with torch.no_grad():
        net.w.zero_()
    assert runs.load_weights("maze-9")[0].w.abs().sum() > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert digests(Path(data.__file__).parent) == before


def check_copies(root: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools" / "data.py", "--check", "--root", root]
    return subprocess.run(command, capture_output=True, text=True)


def test_copies_that_differ_are_named_and_made_again(tmp_path):
    checked = check_copies(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for folder in ("results", "benchmarks", "bpa/data"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    with open(tmp_path / "results" / "maze" / "final.csv", "a") as file:
        file.write("\n")
    shutil.rmtree(tmp_path / "results" / "cues")
    (tmp_path / "bpa" / "data" / "benchmarks" / "cpu.json").unlink()
    checked = check_copies(tmp_path)
    assert checked.returncode == 1
    assert checked.stdout.splitlines() == [
        "bpa/data/benchmarks/cpu.json is no copy of benchmarks/cpu.json",
        "bpa/data/cues/curves.csv has no source",
        "bpa/data/cues/final.csv has no source",
        "bpa/data/cues/settings.json has no source",
        "bpa/data/maze/final.csv is no copy of results/maze/final.csv",
        "make data copies them",
    ]
    subprocess.run([sys.executable, ROOT / "tools" / "data.py", "--root", tmp_path], check=True)
    assert check_copies(tmp_path).returncode == 0
    assert (tmp_path / "bpa" / "data" / "__init__.py").exists()
