"""Buttons that open a chapter elsewhere: none before an address is set, and silent by themselves."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "book" / "_config.yml"
GITHUB = "https://github.com/somebody/step-by-step"


def write_book(folder: Path, **settings) -> Path:
    """A book of one page of text and one chapter, under the real book's configuration with these settings."""
    book = folder / "book"
    shutil.copytree(ROOT / "book" / "_static", book / "_static")
    config = yaml.safe_load(CONFIG.read_text(encoding="utf8")) | settings
    # Absolute, since the extensions stay where they are.
    config["sphinx"]["local_extensions"] = dict.fromkeys(
        config["sphinx"]["local_extensions"], str(ROOT / "book" / "_ext")
    )
    config["execute"] = {"execute_notebooks": "off"}
    (book / "references.bib").write_text("")
    (book / "_config.yml").write_text(json.dumps(config))  # JSON is YAML too
    (book / "_toc.yml").write_text("{format: jb-book, root: intro, chapters: [{file: chapters/01_hebb}]}")
    (book / "intro.md").write_text("# A book\n")
    (book / "chapters").mkdir()
    cells = [nbformat.v4.new_markdown_cell("# A chapter"), nbformat.v4.new_code_cell("1 + 1")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    chapter = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(chapter, book / "chapters" / "01_hebb.ipynb")
    return book


def build(book: Path) -> subprocess.CompletedProcess:
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", "-W", "-n", "--keep-going", book]
    return subprocess.run(command, capture_output=True, text=True)


class Page(HTMLParser):
    """Links of a page, and what it loads by itself."""

    LOADS = (("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"))

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "a":
            self.links.append(attributes.get("href") or "")
        passive = tag == "link" and attributes.get("rel") in ("canonical", "index", "search", "next", "prev")
        if not passive:
            self.loads += [
                attributes[name] for kind, name in self.LOADS if kind == tag and name in attributes
            ]

    def launches(self) -> list[str]:
        """Links to services that run notebooks."""
        services = ("colab.research.google.com", "mybinder.org", "hub.example.org")
        return [link for link in self.links if urlsplit(link).netloc in services]


@pytest.mark.parametrize(
    ("settings", "services"),
    [
        ({"address": ""}, []),
        ({"address": GITHUB, "jupyterhub": "https://hub.example.org/"}, ["colab", "mybinder", "hub"]),
    ],
    ids=["unset", "set"],
)
def test_chapters_have_buttons_once_an_address_is_set_and_load_nothing(tmp_path, settings, services):
    book = write_book(tmp_path, **settings)
    built = build(book)
    assert built.returncode == 0, built.stdout + built.stderr
    html = book / "_build" / "html"
    chapter, intro = Page(html / "chapters" / "01_hebb.html"), Page(html / "intro.html")
    assert [urlsplit(link).netloc.split(".")[0] for link in chapter.launches()] == services
    assert intro.launches() == []  # what has no notebook has nothing to open
    for page, folder in ((chapter, html / "chapters"), (intro, html)):
        assert len(page.loads) > 5
        for load in page.loads:
            assert not re.match(r"(\w+:)?//", load), f"{load} comes from another host"
            assert load.startswith("data:") or (folder / load.partition("?")[0]).is_file(), load
        assert not re.search("thebe", "".join(page.loads))
    icons = [load for load in chapter.loads if "logo_" in load]
    assert len(icons) == len(services)


@pytest.fixture
def launch(monkeypatch):
    """The extension as a module."""
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    return importlib.import_module("launch")


def test_the_books_own_settings_are_read(launch):
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf8"))
    wanted = settings["address"], settings["branch"], settings["jupyterhub"]
    assert launch.read_place(CONFIG) == wanted
    assert "launch" in settings["sphinx"]["config"]["extensions"]


PATH = "book/chapters/01_hebb.ipynb"


@pytest.mark.parametrize(
    ("address", "colab", "binder"),
    [
        (GITHUB, f"/github/somebody/step-by-step/blob/v1/{PATH}", "/v2/gh/somebody/step-by-step/v1"),
        ("https://gitlab.com/a/deep/name", None, "/v2/gl/a%2Fdeep%2Fname/v1"),
        (
            "https://git.example.org/a/name",
            None,
            "/v2/git/https%3A%2F%2Fgit.example.org%2Fa%2Fname/v1",
        ),
    ],
)
def test_links_are_those_that_each_service_reads(launch, address, colab, binder):
    found = launch.links(address, "v1", "", PATH)
    assert list(found) == (["Colab", "Binder"] if colab else ["Binder"])
    if colab:
        assert urlsplit(found["Colab"])[1:3] == ("colab.research.google.com", colab)
    link = urlsplit(found["Binder"])
    assert link[:3] == ("https", "mybinder.org", binder)
    assert parse_qs(link.query) == {"urlpath": [f"lab/tree/{PATH}"]}


def test_a_hub_gets_repository_branch_and_place(launch):
    link = urlsplit(launch.links(GITHUB, "feature/x", "https://hub.example.org/base", PATH)["JupyterHub"])
    assert unquote(link.path) == "/base/hub/user-redirect/git-pull"
    assert parse_qs(link.query) == {
        "repo": [GITHUB],
        "branch": ["feature/x"],
        "urlpath": [f"lab/tree/step-by-step/{PATH}"],  # nbgitpuller clones into a folder of that name
    }
    binder = launch.links(GITHUB, "feature/x", "", PATH)["Binder"]
    assert "/somebody/step-by-step/feature%2Fx?" in binder


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"address": "github.com/a/b"}, "address must be https://HOST/OWNER/NAME or empty, got"),
        ({"address": GITHUB, "branch": "a b"}, "branch must be the name of a branch or tag, got 'a b'"),
        ({"address": GITHUB, "branch": 7}, "branch must be the name of a branch or tag, got 7"),
        ({"address": GITHUB, "jupyterhub": "hub"}, "jupyterhub must be https://HOST or empty, got 'hub'"),
    ],
)
def test_what_cannot_be_meant_stops_the_build_in_one_line(launch, tmp_path, settings, complaint):
    config = tmp_path / "_config.yml"
    config.write_text(yaml.safe_dump(settings))
    with pytest.raises(launch.ConfigError, match=re.escape(complaint)) as refusal:
        launch.read_place(config)
    assert "\n" not in str(refusal.value)


def test_a_branch_may_be_left_out(launch, tmp_path):
    config = tmp_path / "_config.yml"
    config.write_text(f"address: {GITHUB}.git\n")
    assert launch.read_place(config) == (GITHUB, "main", "")
