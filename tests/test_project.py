"""The project's own files agree with one another: versions, lock, environment, commands, chapters."""

import importlib
import importlib.metadata
import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import bpa
from bpa.cli import main
from bpa.training import checkpoint as runs

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
RANGES = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
LOCKS = {  # the reader's and the developer's, and the extras that each is made from
    name: ([Requirement(line) for line in (ROOT / name).read_text(encoding="utf8").splitlines()], extras)
    for name, extras in {"requirements.lock": ["book", "lab"], "requirements-dev.lock": [*EXTRAS]}.items()
}
CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))
PLATFORMS = [
    {"sys_platform": platform, "platform_system": system, "os_name": name, "platform_machine": machine}
    for platform, system, name, machine in [
        ("linux", "Linux", "posix", "x86_64"),
        ("linux", "Linux", "posix", "aarch64"),
        ("darwin", "Darwin", "posix", "arm64"),
        ("win32", "Windows", "nt", "AMD64"),
    ]
]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


BUILT = {".git", ".venv", "_build", "build", "dist", "runs"}  # folders that no source lies in
NO_TEXT = {".png", ".gif", ".safetensors", ".csv"}


def sources() -> dict[str, str]:
    """The text files of the project, this one apart, by their path in it."""
    found = {}
    for folder, inside, names in os.walk(ROOT):
        inside[:] = [name for name in inside if name not in BUILT and "cache" not in name]
        for path in (Path(folder, name) for name in names):
            if path.suffix not in NO_TEXT and path != Path(__file__).resolve():
                text = path.read_text(encoding="utf8", errors="replace")
                found[path.relative_to(ROOT).as_posix()] = text
    return found


def locked(lock: str, python: str, platform: dict[str, str]) -> dict[str, list[str]]:
    """Versions that a lock names for one Python and one platform, by package."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        **platform,
    }
    versions: dict[str, list[str]] = {}
    for line in LOCKS[lock][0]:
        if line.marker is None or line.marker.evaluate(environment):
            (specifier,) = line.specifier
            assert specifier.operator == "==", line
            versions.setdefault(canonicalize_name(line.name), []).append(specifier.version)
    return versions


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda p: f"{p['sys_platform']}-{p['platform_machine']}")
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_one_version_of_everything_within_the_ranges(lock, python, platform):
    versions = locked(lock, python, platform)
    assert [name for name, found in versions.items() if len(found) != 1] == []
    lines = [*PROJECT["dependencies"], *(line for extra in LOCKS[lock][1] for line in EXTRAS[extra])]
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate(platform):
            (version,) = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), (requirement, version)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_brings_no_cuda_package_and_one_torch(lock):
    names = {canonicalize_name(line.name): line for line in LOCKS[lock][0]}
    assert [name for name in names if name.startswith(("nvidia-", "cuda-"))] == []
    assert str(names["torch"]) == "torch==2.13.0"


def test_a_reader_gets_the_developers_versions_and_none_of_their_tools():
    # Without markers: what one platform lacks in the reader's, a developer's tool may need everywhere.
    reader, developer = ({f"{line.name}{line.specifier}" for line in lines} for lines, _ in LOCKS.values())
    assert reader < developer
    left = {Requirement(line).name for line in developer - reader}
    assert {"triton", "playwright", "mypy", "ruff", "uv", "pytest", "tensorboard"} <= left
    assert "setuptools" in {Requirement(line).name for line in reader}  # which makes the editable install


def test_lock_is_what_is_installed():
    here = [
        line for line in LOCKS["requirements-dev.lock"][0] if line.marker is None or line.marker.evaluate()
    ]
    different = {
        line.name: (str(line.specifier), found)
        for line in here
        if not line.specifier.contains(found := importlib.metadata.version(line.name), prereleases=True)
    }
    assert different == {}


def recipe(target: str, **variables: str) -> list[str]:
    """The commands that make would run for a target where nothing is installed yet."""
    command = [
        "make",
        "-n",
        "VENV=nowhere",
        *(f"{name}={value}" for name, value in variables.items()),
        target,
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return said.stdout.splitlines()


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize(
    ("target", "lock"),
    [
        ("setup", "requirements.lock"),
        ("book", "requirements.lock"),
        ("lab", "requirements.lock"),
        ("test", "requirements-dev.lock"),
        ("check", "requirements-dev.lock"),
        ("pages", "requirements-dev.lock"),
    ],
)
def test_each_target_installs_once_what_it_needs(target, lock):
    lines = recipe(target, BUILT="Makefile")  # as if the book were built
    assert [line.split(" -r ")[1] for line in lines if " -r " in line and "pip" in line] == [lock]
    stamps = "nowhere/.reader" if lock == "requirements.lock" else "nowhere/.reader nowhere/.developer"
    assert lines.count(f"touch {stamps}") == 1


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_a_page_of_cpu_builds_is_asked_for_torch_alone_and_may_be_left_out():
    page = "https://builds.example/torch/"
    for builds, asked in ((page, 1), ("", 0)):
        lines = [line for line in recipe("setup", TORCH_BUILDS=builds) if "--find-links" in line]
        assert len(lines) == asked
        for line in lines:
            assert line.endswith(f"--find-links {page} --no-deps -c requirements.lock torch")
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    assert re.search(r"\n\$\(if \$\(TORCH_BUILDS\),-\$\(PIP\) install", makefile)  # it may fail


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_modules_are_kept_as_compiled_whatever_the_environment_says():
    rule = "asked:\n\t@printenv PYTHONDONTWRITEBYTECODE || echo unset\n"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["make", "-s", "-f", "Makefile", "-f", "-", "asked"]
    said = subprocess.run(
        command, cwd=ROOT, input=rule, capture_output=True, text=True, env=environment, check=True
    )
    assert said.stdout == "unset\n"


def test_classifiers_name_the_pythons_that_are_allowed():
    allowed = SpecifierSet(PROJECT["requires-python"])
    named = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert named == PYTHONS
    assert [f"3.{minor}" for minor in range(20) if allowed.contains(f"3.{minor}.5")] == PYTHONS


def check_environment(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools" / "environment.py", "--check", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_environment_equals_pyproject():
    checked = check_environment()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    *_, last = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert sorted(last["pip"]) == sorted([*RANGES, "-e ."])


@pytest.mark.parametrize(
    ("found", "wrong", "complaint"),
    [
        ("      - numpy>=1.26,<3\n", "", "+      - numpy>=1.26,<3"),
        ("torch>=2.9", "torch>=2.8", "-      - torch>=2.8"),
        ("python >=3.11", "python =>3.11", "no conda match spec"),
    ],
)
def test_environment_that_differs_is_refused(tmp_path, found, wrong, complaint):
    text = (ROOT / "environment.yml").read_text()
    assert found in text
    changed = tmp_path / "environment.yml"
    changed.write_text(text.replace(found, wrong, 1))
    checked = check_environment("--environment", str(changed))
    assert checked.returncode == 1
    assert complaint in checked.stdout


def test_environment_is_the_same_from_and_on_windows(tmp_path):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    written = tmp_path / "environment.yml"
    command = [sys.executable, ROOT / "tools" / "environment.py", "--pyproject", tmp_path / "pyproject.toml"]
    subprocess.run([*command, "--environment", written], check=True)
    assert written.read_bytes() == (ROOT / "environment.yml").read_bytes()
    written.write_bytes(written.read_bytes().replace(b"\n", b"\r\n").decode().encode("utf-8-sig"))
    assert check_environment("--environment", str(written)).returncode == 0


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == importlib.metadata.version("backpropamine")
    assert bpa.__version__ == runs.versions()["bpa"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    how_to_cite = (ROOT / "book" / "cite.md").read_text()
    for field in ("title", "version"):
        assert f"  {field} = {{{citation[field]}}}" in how_to_cite
    assert [f"{{{author['name']}}}" in how_to_cite for author in citation["authors"]] == [True]
    newest = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == PROJECT["version"]


def test_one_distribution_owns_the_import():
    assert PROJECT["name"] == "backpropamine"  # "bpa" on the public index is somebody else's
    assert set(importlib.metadata.packages_distributions()["bpa"]) == {"backpropamine"}


def test_the_command_says_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bpa {PROJECT['version']}\n"


def test_where_only_the_folder_is_on_the_path_the_version_is_unknown(monkeypatch):
    def missing(name):
        assert name == "backpropamine"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    found = runpy.run_path(str(Path(bpa.__file__).with_name("version.py")))["__version__"]
    assert found == "0+unknown"
    assert Version(found) < Version(PROJECT["version"])  # a version, and older than every real one


def test_extras_that_a_message_names_exist():
    named = set()
    for path in Path(bpa.__file__).parent.rglob("*.py"):
        named |= set(re.findall(r"pip install .*\[(\w+)\]", path.read_text(encoding="utf8")))
    assert {"tensorboard"} <= named <= set(EXTRAS)


# An install command, then our name (or the one that is somebody else's) with nothing that says from where.
FROM_INDEX = re.compile(
    r"""\b(?:pip[x3]?|uv|conda|mamba|poetry|pdm|pixi)\b[^\n`&;|#]*?\b(?:install|add|download)\b[^\n`&;|#]*?"""
    r"""[\s"'](?:bpa|backpropamine)(?:\[[^\]\n]*\])?+(?!\s*@|[\w./-])"""
)
LISTED = re.compile(
    r"^\s*(?:- *)?[\"']?(?:bpa|backpropamine)(?:\[[^\]\n]*\])?+(?!\s*[@:(]|[\w./-])", re.MULTILINE
)


def installs_from_the_index(name: str, text: str) -> bool:
    """Whether a file makes its reader install our name from the public index.

    Nobody has registered `backpropamine` there: an open door. And `bpa` is somebody else's build tool.
    """
    text = text.replace("\\\n", " ")
    lists = re.search(r"requirements.*\.(txt|in|lock)$|environment.*\.ya?ml$", name)
    return bool(FROM_INDEX.search(text) or (lists and LISTED.search(text)))


def test_no_file_installs_our_name_from_the_public_index():
    found = sources()
    known = {"README.md", "Makefile", "book/chapters/01_hebb.ipynb", "bpa/training/progress.py"}
    assert known <= found.keys()
    wrong = [name for name, text in found.items() if installs_from_the_index(name, text)]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "pip install bpa\n"),
        ("README.md", "python -m pip install --upgrade 'backpropamine[book]'"),
        ("README.md", "uv pip install backpropamine==0.1.0"),
        ("README.md", "uv add torch backpropamine"),
        ("README.md", "pip install \\\n    backpropamine"),
        ("book/chapters/01_hebb.ipynb", '"%pip install -q backpropamine\\n",'),
        (
            "book/chapters/01_hebb.ipynb",
            r'"subprocess.run([sys.executable, \"-m\", \"pip\", \"install\", \"bpa\"])"',
        ),
        ("binder/Dockerfile", "RUN pip3 install --no-cache-dir torch bpa"),
        ("bpa/training/progress.py", '"pip install \\"bpa[tensorboard]\\""'),
        ("binder/requirements.txt", "torch\nbackpropamine>=0.1\n"),
        ("environment.yml", "dependencies:\n  - pip:\n      - bpa\n"),
    ],
)
def test_an_install_from_the_public_index_is_caught(name, text):
    assert installs_from_the_index(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "pip install -e . && bpa train"),
        ("README.md", 'pip install -e ".[sb3]"  # make has done this already, bpa too'),
        ("README.md", 'pip install "backpropamine @ git+https://example.org/owner/book"'),
        ("README.md", 'pip install "backpropamine[book] @ git+https://example.org/owner/book"'),
        ("README.md", "pip install ./backpropamine-0.1.0.tar.gz"),
        ("README.md", "pip install dist/backpropamine-0.1.0-py3-none-any.whl"),
        ("Makefile", "$(BIN)/python -m pip uninstall -y bpa"),
        ("environment.yml", "name: bpa\ndependencies:\n  - pip:\n      - -e .\n"),
    ],
)
def test_an_install_from_elsewhere_is_let_be(name, text):
    assert not installs_from_the_index(name, text)


@pytest.mark.parametrize("page", ["README.md", "book/intro.md"])
def test_commands_that_the_text_names_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`|/cpu )make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    assert {"book", "test", "lab"} <= named <= targets


def test_lab_opens_the_first_chapter():
    chapters = sorted(path.name for path in (ROOT / "book" / "chapters").glob("*.ipynb"))
    opened = re.findall(r"default_url=/lab/tree/(\S+)", (ROOT / "Makefile").read_text())
    assert opened == chapters[:1]


def test_readme_names_commands_of_the_console_script():
    named = set(re.findall(r"^bpa ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    usage = subprocess.run([sys.executable, "-m", "bpa", "--help"], capture_output=True, text=True).stdout
    assert {"train", "evaluate"} <= named
    assert [name for name in named if not re.search(rf"\b{name}\b", usage)] == []


def test_python_in_the_readme_runs():
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(source, names)
    assert names["obs"].shape == (30, 17)
    assert names["hidden"].hebb.shape == (30, 100, 100)


def test_files_that_the_readme_names_exist():
    """It links to them by the owner's address or not at all: a relative link is dead on an index page."""
    text = (ROOT / "README.md").read_text(encoding="utf8")
    assert re.findall(r"\]\((?!https?:)[^)]*\)", text) == []
    named = set(re.findall(r"`([\w./-]+\.(?:md|py|cff|yml|toml|lock)|LICENSE[A-Z-]*)`", text))
    assert {"LICENSE", "LICENSE-TEXT", "CITATION.cff", "results/README.md", "benchmarks/README.md"} <= named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def toc_files(node) -> list[str]:
    """Every `file` and the root of a table of contents."""
    if isinstance(node, dict):
        own = [value for key, value in node.items() if key in ("file", "root")]
        return own + [file for value in node.values() for file in toc_files(value)]
    if isinstance(node, list):
        return [file for part in node for file in toc_files(part)]
    return []


def test_table_of_contents_names_every_page():
    listed = toc_files(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text()))
    book = ROOT / "book"
    pages = [*book.glob("*.md"), *book.glob("[!_]*/*.md"), *CHAPTERS]
    assert sorted(listed) == sorted(str(path.relative_to(book).with_suffix("")) for path in pages)


def test_names_that_pages_and_chapters_import_exist():
    """Also those of cells in Markdown, which only the build of the book runs."""
    texts = {page: page.read_text(encoding="utf-8") for page in (ROOT / "book").rglob("*.md")}
    for chapter in CHAPTERS:
        cells = nbformat.read(chapter, as_version=4).cells
        texts[chapter] = "\n".join(cell.source for cell in cells)
    wanted = re.compile(r"^(?:>>> )?from (bpa[\w.]*) import (?:\(([^)]*)\)|([^#\n]+))", re.MULTILINE)
    found = 0
    for place, text in texts.items():
        for module, several, line in wanted.findall(text):
            for name in re.split(r"[,\s]+", re.sub(r"\bas \w+", "", several or line).strip(" ,\n")):
                found += 1
                assert hasattr(importlib.import_module(module), name) or importlib.util.find_spec(
                    f"{module}.{name}"
                ), f"{place}: {module} has no {name}"
    assert found > 100


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_is_stripped_and_has_its_ids(chapter):
    notebook = nbformat.read(chapter, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.metadata.kernelspec.name == "python3"


def write_notebook(path: Path, *cells: nbformat.NotebookNode) -> None:
    """A notebook of these cells."""
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


def test_pages_with_code_are_run_for_the_build_longest_first_and_a_failure_is_named(tmp_path):
    head = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: Python 3}\n---\n# A page\n\n"
    (tmp_path / "page.md").write_text(f"{head}```{{code-cell}}\nprint(6 * 7)\n```\n")
    (tmp_path / "prose.md").write_text("# No code\n")
    loud = nbformat.v4.new_code_cell("import sys\n\nprint('careful', file=sys.stderr)")
    loud.metadata.tags = ["remove-output"]  # the build would not see it
    widget = nbformat.v4.new_code_cell("import ipywidgets\n\nipywidgets.interact(lambda x: 1 / 0, x=1);")
    write_notebook(tmp_path / "loud.ipynb", nbformat.v4.new_markdown_cell("about 5 seconds"), loud, widget)
    wide = nbformat.v4.new_code_cell("print('fits ' + 73 * '-')\nprint('wide ' + 74 * '-')")
    unseen = nbformat.v4.new_code_cell("print('unseen ' + 90 * '-')", metadata={"tags": ["remove-output"]})
    write_notebook(tmp_path / "wide.ipynb", nbformat.v4.new_markdown_cell("about 3 seconds"), wide, unseen)
    bad = nbformat.v4.new_code_cell("assert 1 == 2, 'one is not two'")
    write_notebook(tmp_path / "bad.ipynb", nbformat.v4.new_markdown_cell("about 30 seconds"), bad)
    pages = "[{file: page}, {file: wide}, {file: loud}, {file: bad}]"
    (tmp_path / "_toc.yml").write_text(f"format: jb-book\nroot: prose\nchapters: {pages}\n")
    (tmp_path / "_config.yml").write_text("execute: {timeout: 60}\n")
    command = [sys.executable, ROOT / "tools" / "execute.py", "--book", tmp_path, "--jobs", "1"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    outcomes = re.findall(r"(.+) (?:after|in) \d+ seconds\n", run.stdout)
    assert outcomes == ["bad.ipynb failed", "loud.ipynb failed", "wide.ipynb failed", "page.md ran"]
    for complaint in ("one is not two", "careful", "ZeroDivisionError"):
        assert complaint in run.stderr
    assert re.findall("characters in a line: (....)", run.stderr) == ["wide"]
    failed = ", ".join(str(tmp_path / f"{name}.ipynb") for name in ("bad", "loud", "wide"))
    assert run.stderr.splitlines()[-1].endswith(f": {failed}")
    cached = [nbformat.read(path, as_version=4) for path in tmp_path.rglob("base.ipynb")]
    texts = [output.text for notebook in cached for output in notebook.cells[0].outputs]
    assert sorted(texts)[:2] == ["42\n", "careful\n"]


BAD_CELLS = {
    "stderr": ("import sys\n\nprint('careful', file=sys.stderr)", "The cell wrote to stderr"),
    "warning": ("import warnings\n\nwarnings.warn('careful', stacklevel=1)", "The cell wrote to stderr"),
    "exception": ("assert 1 == 2", "Cell execution caused an exception"),
}


def test_chapter_that_fails_or_writes_to_stderr_is_caught(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source, _ in BAD_CELLS.values()]
    cells.append(nbformat.v4.new_code_cell("print('fine')"))
    for name in ("book/conftest.py", "tools/prepare.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    page = tmp_path / "book" / "bad.ipynb"
    write_notebook(page, *cells)
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=60", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", str(page)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert re.search(rf"\b{len(BAD_CELLS)} failed, 1 passed", run.stdout), run.stdout
    for _, complaint in BAD_CELLS.values():
        assert complaint in run.stdout
