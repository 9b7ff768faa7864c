"""What runs the project on machines of others: Binder, workflows, containers."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf8")
ALLOWED = SpecifierSet(PROJECT["requires-python"])


def binder(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools" / "binder.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


# ---- Binder

BINDER = ROOT / "binder"


def pins(path: Path) -> list[Requirement]:
    lines = path.read_text(encoding="utf8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def test_binder_is_made_from_the_lock():
    checked = binder("--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_versions_of_binder_are_those_of_the_lock():
    locked = {(pin.name, str(pin.specifier)) for pin in pins(ROOT / "requirements.lock")}
    found = pins(BINDER / "requirements.txt")
    assert [pin for pin in found if pin.marker] == []  # one machine, one Python: nothing left to decide
    assert [pin for pin in found if (pin.name, str(pin.specifier).removesuffix("+cpu")) not in locked] == []
    names = [pin.name for pin in found]
    assert len(set(names)) == len(names)
    assert {Requirement(line).name for line in PROJECT["dependencies"]} <= set(names)
    assert not {"sphinx", "jupyter-book", "pytest", "ruff", "triton"} & set(
        names
    )  # nobody builds or tests there


def test_binder_takes_the_small_torch_and_no_other():
    (torch,) = [pin for pin in pins(BINDER / "requirements.txt") if pin.name == "torch"]
    assert str(torch.specifier).endswith("+cpu")
    options = [
        line for line in (BINDER / "requirements.txt").read_text().splitlines() if line.startswith("-")
    ]
    assert options == ["--find-links https://download.pytorch.org/whl/cpu/torch/"]


def test_binder_has_a_python_that_its_builder_can_read():
    python = re.fullmatch(r"python-(3\.\d+)\n", (BINDER / "runtime.txt").read_text())
    assert python
    assert ALLOWED.contains(f"{python[1]}.5")
    # One of these beside the requirements would win over them.
    assert {path.name for path in BINDER.iterdir()} == {"postBuild", "requirements.txt", "runtime.txt"}


def test_binder_installs_the_package_itself():
    script = BINDER / "postBuild"
    assert script.read_bytes().startswith(b"#!/bin/bash\n")
    assert b"\r" not in script.read_bytes()
    assert os.name != "posix" or os.access(script, os.X_OK)
    checked = (
        subprocess.run(["bash", "-n", script], capture_output=True, text=True)
        if shutil.which("bash")
        else None
    )
    assert checked is None or checked.returncode == 0, checked.stderr
    (install,) = re.findall(r"^python -m pip install (.*)$", script.read_text(), re.MULTILINE)
    assert shlex.split(install)[-2:] == ["--editable", "."]
    assert "--no-deps" in install
    for name in re.findall(r"^python ([\w/]+\.py)", script.read_text(), re.MULTILINE):
        assert (ROOT / name).is_file()


@pytest.fixture
def project(tmp_path):
    """A copy of what tools/binder.py reads and writes."""
    shutil.copytree(BINDER, tmp_path / "binder")
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_a_new_version_in_the_lock_is_carried_to_binder(project):
    lock = project / "requirements.lock"
    lock.write_text(re.sub(r"^numpy==.*$", "numpy==9.9.9", lock.read_text(), flags=re.MULTILINE))
    behind = binder("--check", "--root", project)
    assert (behind.returncode, behind.stdout.count("\n")) == (1, 1)
    assert "binder/requirements.txt does not follow the lock" in behind.stdout
    assert binder("--root", project).returncode == 0
    assert "numpy==9.9.9\n" in (project / "binder" / "requirements.txt").read_text()
    assert binder("--check", "--root", project).returncode == 0


def test_a_lock_that_lacks_a_package_is_refused(project):
    lock = project / "requirements.lock"
    lock.write_text(re.sub(r"^llvmlite==.*\n", "", lock.read_text(), flags=re.MULTILINE))
    refused = binder("--root", project)
    assert (refused.returncode, refused.stderr) == (2, "requirements.lock has no llvmlite: run make lock\n")


# ---- the workflow

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf8"))
JOBS = WORKFLOW["jobs"]
STEPS = [(job, step) for job, settings in JOBS.items() for step in settings["steps"]]
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def runs(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_workflow_runs_on_pushes_on_requests_and_by_itself():
    on = WORKFLOW[True]  # YAML 1.1 reads the key "on" so
    assert on.keys() == {"push", "pull_request", "workflow_dispatch", "schedule"}
    (schedule,) = on["schedule"]
    assert len(schedule["cron"].split()) == 5
    assert re.fullmatch(r"[\d*]+( [\d*]+){4}", schedule["cron"])


def test_workflow_runs_what_must_pass_here_by_the_same_targets():
    wanted = re.findall(r"^(?:\w+=\w+ )?make (\w+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert sorted(wanted) == ["book", "check", "pages", "test"]
    done = [command.removeprefix("make ") for command in runs("make") if command.startswith("make ")]
    assert sorted(done) == sorted(wanted)
    assert {command.removeprefix("make ") for command in runs("make") + runs("ranges")} <= TARGETS
    assert "make release-check" in runs("ranges")
    assert WORKFLOW["env"]["BPA_REQUIRE_PAGES"] == "1"
    systems = {re.match("[a-z]+", each["os"])[0] for each in JOBS["make"]["strategy"]["matrix"]["include"]}
    assert systems == {"ubuntu", "macos"}


def test_workflow_uses_the_pythons_that_are_allowed():
    matrix = JOBS["make"]["strategy"]["matrix"]["include"]
    pythons = {each["python"] for each in matrix}
    assert all(
        isinstance(python, str) and ALLOWED.contains(f"{python}.5") for python in pythons
    )  # 3.10 is no 3.1
    named = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert {min(named, key=Version), max(named, key=Version)} <= pythons


def test_windows_runs_the_commands_behind_the_targets():
    """There is no make; what the commands name exists, and what builds or tests stands in the Makefile."""
    commands = " && ".join(runs("windows"))
    assert JOBS["windows"]["runs-on"].startswith("windows-")
    for name in re.findall(r"[\w/-]+\.(?:py|lock)", commands):
        assert (ROOT / name).is_file(), name
    for command in ("tools/execute.py", "tools/portable.py", "build -W -n --keep-going book", "ruff check ."):
        assert command in MAKEFILE
        assert command in commands
    assert "make " not in commands


def test_actions_are_official_and_pinned_to_a_commit():
    text = (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf8")
    used = [step["uses"] for _, step in STEPS if "uses" in step]
    assert len(used) > 4
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
        assert re.search(rf"{action} # v\d+\.\d+\.\d+$", text, re.MULTILINE), (
            f"{action} has no version beside it"
        )
    versions: dict[str, set[str]] = {}
    for action in used:
        versions.setdefault(action.partition("@")[0], set()).add(action)
    assert [found for found in versions.values() if len(found) > 1] == []
    for job, step in STEPS:
        assert ("uses" in step) != ("run" in step), f"{job}: a step does one thing"


def test_only_main_publishes_and_only_that_job_may():
    publish = JOBS["publish"]
    assert publish["needs"] == "make"
    for condition in (publish["if"], JOBS["make"]["steps"][-1]["if"]):
        assert "github.ref == 'refs/heads/main'" in condition
        assert "github.event_name != 'pull_request'" in condition
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert [job for job in JOBS if "permissions" in JOBS[job]] == ["publish"]
    assert publish["environment"]["name"] == "github-pages"
    upload = JOBS["make"]["steps"][-1]
    assert upload["uses"].startswith("actions/upload-pages-artifact@")
    assert f"HTML := {upload['with']['path']}\n" in MAKEFILE
    assert sum(each.get("publish", False) for each in JOBS["make"]["strategy"]["matrix"]["include"]) == 1
    assert all("timeout-minutes" in settings for settings in JOBS.values())


# ---- the container

INSTRUCTIONS = [
    re.sub(r"\\\n\s*", "", found).split(maxsplit=1)
    for found in re.findall(
        r"^[A-Z]+ (?:.*\\\n)*.*$",
        re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf8"), flags=re.MULTILINE),
        re.MULTILINE,
    )
]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a file from the builder: the last rule for it or a folder above decides."""
    kept_out = False
    parents = [path, *map(str, Path(path).parents)]
    for rule in (ROOT / ".dockerignore").read_text().splitlines():
        if rule and not rule.startswith("#"):
            pattern = rule.removeprefix("!")
            anywhere = pattern.startswith("**/")
            names = [Path(part).name for part in parents] if anywhere else parents
            if any(fnmatch.fnmatch(name, pattern.removeprefix("**/")) for name in names):
                kept_out = not rule.startswith("!")
    return kept_out


def test_container_copies_files_that_exist_and_that_reach_the_builder():
    sources = []
    for name, rest in INSTRUCTIONS:
        if name == "COPY":
            *found, target = [part for part in rest.split() if not part.startswith("--")]
            assert target.startswith("/")
            sources += found
    assert {"requirements.lock", "pyproject.toml", "bpa", "book/chapters/*.ipynb"} <= set(sources)
    for source in sources:
        files = list(ROOT.glob(source))
        assert files, f"{source} is not there"
        for file in files:
            inside = [file] if file.is_file() else list(file.rglob("*.py"))
            assert [path for path in inside if ignored(path.relative_to(ROOT).as_posix())] == []
    for name in (
        ".git/config",
        ".venv/bin/python",
        "book/_build/html/index.html",
        "bpa/__pycache__/cli.pyc",
        "results/README.md",
    ):
        assert ignored(name), f"{name} would go to the builder"


def test_container_is_slim_has_no_root_and_starts_the_lab():
    names = [name for name, _ in INSTRUCTIONS]
    values = dict(INSTRUCTIONS)
    image, python = re.fullmatch(r"(python):(3\.\d+)-slim-\w+", values["FROM"]).groups()
    assert image == "python"
    assert ALLOWED.contains(f"{python}.5")
    assert values["USER"] not in ("root", "0")
    assert f"useradd --create-home --uid 1000 {values['USER']}" in dict(reversed(INSTRUCTIONS))["RUN"]
    assert names.index("USER") < names.index("CMD")
    start = json.loads(values["CMD"])
    assert start[:2] == ["jupyter", "lab"]
    assert f"--port={values['EXPOSE']}" in start
    (first,) = re.findall(r"default_url=/lab/tree/(\S+)", " ".join(start))
    assert (ROOT / "book" / first).is_file()
    assert f"localhost:{values['EXPOSE']}/api" in values["HEALTHCHECK"].replace("127.0.0.1", "localhost")
    compile(json.loads(values["HEALTHCHECK"].partition("CMD ")[2])[2], "healthcheck", "exec")


def test_container_installs_the_lock_and_the_small_torch():
    (install,) = [rest for name, rest in INSTRUCTIONS if name == "RUN" and "requirements.lock" in rest]
    pattern, replacement = re.search(r"s/(.*?)/(.*?)/", install).groups()
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    changed = [line for line in lines if re.search(pattern, line)]
    assert changed == [
        f"torch=={version}" for version in re.findall(r"^torch==([\d.]+)$", "\n".join(lines), re.M)
    ]
    assert replacement == "&+cpu"
    assert len(changed) == 1
