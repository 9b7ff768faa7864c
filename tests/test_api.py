"""The API reference: every module stands on one of its pages, and every example of the first page runs."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import bpa

PAGES = Path(__file__).parents[1] / "book" / "api"
TEXT = {page: (PAGES / f"{page}.md").read_text(encoding="utf8") for page in ("use", "extend", "internals")}
MODULES = {module.name for module in pkgutil.walk_packages(bpa.__path__, "bpa.")}


def sections(text: str) -> dict[str, str]:
    """The text below each heading of the second rank."""
    return dict(re.findall(r"^## (.*)\n((?:(?!^## ).*\n?)*)", text, re.MULTILINE))


USE = sections(TEXT["use"])


def documented(text: str, kind: str) -> list[str]:
    """What is named by a directive of one kind: "module", "class" or "function"."""
    return re.findall(rf"^\.\. auto{kind}:: (\S+)", text, re.MULTILINE)


def named(path: str) -> object:
    """The class or function at a dotted path."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def examples(section: str) -> list[doctest.DocTest]:
    """The example in the text of a section, and those in the docstrings that it shows."""
    paths = documented(section, "class") + documented(section, "function")
    texts = {"text": section} | {path: named(path).__doc__ or "" for path in paths}
    parse = doctest.DocTestParser().get_doctest
    # In the text a fence ends the output.
    tests = [parse(text.replace("```", ""), {}, name, None, None) for name, text in texts.items()]
    return [test for test in tests if test.examples]


@pytest.mark.parametrize("name", USE)
def test_every_name_in_use_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = examples(USE[name])
    assert found
    for test in found:
        said: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
        assert said == []
        assert sum(example.source.count("\n") for example in test.examples) <= 7, "five lines or so"
    plt.close("all")


def test_an_example_that_gives_something_else_is_caught(capsys):
    (test,) = examples("```python\n>>> 1 + 1\n3\n```\n")
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 1
    assert "Expected:\n    3\nGot:\n    2\n" in "".join(said)


def test_the_pages_document_every_public_module():
    whole = {path for text in TEXT.values() for path in documented(text, "module")}
    parts = ("acting", "backward", "compiling", "environments", "peak", "traces", "vectors")
    loops = {"bpa.engines.triton.kernels", *(f"bpa.engines.numba.{part}" for part in parts)}
    inner = {f"bpa.{name}" for name in ("__main__", "arguments", "cli", "commands", "console")}
    inner |= {"bpa.textfile", "bpa.version"} | loops
    inner |= {name for name in MODULES if name.startswith("bpa.grading")}  # of the command `bpa grade`
    parts = {name for name in MODULES if name.startswith("bpa.checks.")}  # bpa.checks gathers them
    assert MODULES - inner - parts <= whole <= MODULES


def test_what_one_page_documents_no_other_documents_again():
    """A name that stands by itself is left out where its module is documented whole."""
    text = "\n".join(TEXT.values())
    modules = documented(text, "module")
    assert len(set(modules)) == len(modules)
    alone = [path for kind in ("class", "function") for path in documented(text, kind)]
    assert len(set(alone)) == len(alone)
    left_out = {
        f"{module}.{name}"
        for module, names in re.findall(
            r"automodule:: (\S+)\n   :members:\n   :exclude-members: (.*)", TEXT["extend"] + TEXT["internals"]
        )
        for name in names.split(", ")
    }
    assert set(alone) <= left_out
