"""README.md, its picture and its tables say what the files say; so does CITATION.cff."""

import contextlib
import csv
import io
import json
import re
import runpy
import shutil
import statistics
import subprocess
import sys
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

import yaml

from bpa.envs.baselines import expected_reward, ideal_bound

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf8")


def tool(name: str, *arguments) -> subprocess.CompletedProcess:
    """What a tool prints and returns, without a process of its own that would import PyTorch."""
    program = runpy.run_path(str(ROOT / "tools" / f"{name}.py"))
    command = [name, *map(str, arguments)]
    with (
        patch.object(sys, "argv", command),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = program["main"]()
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


SVG = "{http://www.w3.org/2000/svg}"
PICTURE = ROOT / ".github" / "agent.svg"


def test_tables_of_the_readme_are_those_of_the_files():
    command = [sys.executable, ROOT / "tools" / "readme.py", "--check"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    # Once more by hand, for one cell of each.
    with open(ROOT / "results" / "maze-quick" / "final.csv", newline="") as file:
        runs = [float(row["mean"]) for row in csv.DictReader(file) if row["variant"] == "simple"]
    assert f"| simple modulation | {statistics.median(runs):.0f} (" in README
    cases = json.loads((ROOT / "benchmarks" / "cpu.json").read_text())["cases"]
    eager, numba = (
        next(
            case["seconds_per_iteration"]
            for case in cases
            if case["engine"] == engine and case["batch_size"] == 30
        )
        for engine in ("eager", "numba")
    )
    assert f"| {eager:.3f} s | {numba:.3f} s | {eager / numba:.1f} |" in README


def test_a_table_that_is_behind_is_told_and_mended(tmp_path):
    for name in ("results", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    readme = tmp_path / "README.md"
    readme.write_text(README.replace("| LSTM | ", "| LSTM | 9", 1), encoding="utf8")
    behind = tool("readme", "--check", "--root", tmp_path)
    assert (behind.returncode, behind.stdout) == (
        1,
        "README.md is behind, tools/readme.py writes the tables of its figures\n",
    )
    assert tool("readme", "--root", tmp_path).returncode == 0
    assert readme.read_text(encoding="utf8") == README
    readme.write_text(README.replace("<!-- /speed -->", ""), encoding="utf8")
    refused = tool("readme", "--root", tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "README.md must have one place for a table, <!-- speed --> to <!-- /speed -->" in refused.stderr


def test_scores_in_the_readme_are_those_of_the_agent_and_of_the_maze():
    ships, ceiling, bound, random = re.findall(
        r"`maze-11`, trained longer and earns (\d+) in an episode; an ideal agent with its senses earns "
        r"(\d+), none can expect more than (\d+), and a random walk earns (\d+)\.",
        README,
    )[0]
    said = json.loads((ROOT / "results" / "agents" / "maze-11.json").read_text())
    assert ships == f"{said['mean_reward']:.0f}"
    assert ceiling == f"{expected_reward('ideal', size=11, episode_length=200):.0f}"
    assert bound == f"{ideal_bound(size=11, episode_length=200):.0f}"
    assert random == f"{expected_reward('random', size=11, episode_length=200):.0f}"


def check_picture(path: Path) -> str:
    """The picture is whole, small, and asks for nothing; what it says in words."""
    assert path.stat().st_size < 600_000
    svg = ElementTree.parse(path).getroot()
    title, said = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert title.text
    text = path.read_text(encoding="utf8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\((?!#)|<script|<image|<foreignObject|@import", text)
    assert "prefers-reduced-motion" in text
    # Light and dark: all of it is drawn on a card of its own.
    card = svg.find(f"{SVG}rect")
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert (float(card.get("width")), float(card.get("height"))) == (width - 1, height - 1)
    assert card.get("fill").startswith("#")
    # Each star that is counted is a jump of the agent in the animation.
    hits = []
    for name in "ab":
        frames = re.search(rf"@keyframes {name}\{{(.*?\}})\}}", text)[1]
        found = re.findall(r"([\d.]+)%\{transform:translate\((\d+)px,(\d+)px\)\}", frames)
        times = [float(time) for time, _, _ in found]
        assert times == sorted(times)
        cells = [((int(y) - 8) // 16, (int(x) - 8) // 16) for _, x, y in found]
        jumps = 0
        for before, after in pairwise(cells):
            jumps += abs(before[0] - after[0]) + abs(before[1] - after[1]) > 1
        tally = len(re.findall(rf"animation-name:{name}\d+", text))
        assert jumps <= tally <= jumps + 2  # a teleport may by chance lead next door
        hits.append(tally)
    assert re.findall(r"(\d+) hits\. .* before every step: (\d+)\.", said.text) == [tuple(map(str, hits))]
    return said.text


def test_picture_of_the_readme_is_whole_and_its_words_are_the_readmes():
    (source, alt) = re.findall(r'<img src="([^"]+)" width="\d+" alt="([^"]+)">', README)[0]
    assert source.endswith(PICTURE.relative_to(ROOT).as_posix())
    assert check_picture(PICTURE) == alt


def test_picture_can_be_drawn_again(tmp_path):
    drawn = tool("picture", "--episodes", "1", "--save", tmp_path / "agent.svg")
    assert drawn.returncode == 0, drawn.stderr
    check_picture(tmp_path / "agent.svg")
    refused = tool("picture", "--episodes", "0", "--save", tmp_path / "none.svg")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "none.svg").exists()


def test_readme_names_the_platforms_where_it_cannot_run():
    for words in ("Mac with Intel | not by itself", "Windows on ARM | not by itself", "macOS 14 or later"):
        assert words in README


# ---- CITATION.cff

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))


def test_citation_has_what_its_format_asks_for():
    for field in ("cff-version", "message", "title", "authors", "version", "date-released", "license"):
        assert CITATION[field], field
    assert CITATION["cff-version"] == "1.2.0"
    assert isinstance(CITATION["date-released"], date)
    (author,) = CITATION["authors"]
    assert set(author) <= {"name", "website", "email"}  # a collective is an entity: it has no given name
    for reference in CITATION["references"]:
        assert {"type", "title", "authors"} <= reference.keys()
        assert all(person.keys() == {"family-names", "given-names"} for person in reference["authors"])


def test_date_of_the_version_is_everywhere_the_same():
    released = CITATION["date-released"]
    heading = f"## [{PROJECT['version']}] - {released.isoformat()}\n"
    assert heading in (ROOT / "CHANGELOG.md").read_text(encoding="utf8")
    assert f"year = {{{released.year}}}" in (ROOT / "book" / "cite.md").read_text(encoding="utf8")
