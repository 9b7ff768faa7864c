"""What the book's Sphinx extension does to a page, without building one."""

import importlib
from pathlib import Path

import pytest

docutils = pytest.importorskip("docutils", reason="the tools of the book are not installed")
pytest.importorskip("myst_nb", reason="the tools of the book are not installed")

from docutils import nodes  # noqa: E402
from docutils.utils import new_document  # noqa: E402

FOLDER = Path(__file__).parents[1] / "book" / "_ext"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the book is not here")


@pytest.fixture
def kept(monkeypatch):
    """A paragraph of these parts, after the extension: its text, and what it keeps on one line."""
    monkeypatch.syspath_prepend(FOLDER)
    pages = importlib.import_module("pages")

    def run(*parts):
        document = new_document("page")
        document += nodes.paragraph()
        for part in parts:
            document[0] += nodes.math(part[1:], part[1:]) if part.startswith("$") else nodes.Text(part)
        pages.KeepTogether(document).run()
        together = [part.astext() for part in document.findall(nodes.inline)]
        return document.astext(), together

    return run


def test_a_formula_keeps_the_marks_around_it(kept):
    assert kept("Write (", "$x", "), then ", "$y", ".") == ("Write (x), then y.", ["(x),", "y."])
    assert kept("Nothing ", "$x", " touches.") == ("Nothing x touches.", [])


def test_the_mark_that_moves_is_the_formulas_own(kept):
    """Two texts of one paragraph may read the same: the full stops of two sentences."""
    text, together = kept("A link", "\n", ".", "\n", "Then ", "$y", ".")
    assert text == "A link\n.\nThen y."
    assert together == ["y."]
    text, together = kept(" (", "\n", "$x", " and (", "$y", ")")
    assert (text, together) == (" (\nx and (y)", ["(y)"])
