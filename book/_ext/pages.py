"""Sphinx extension: a fold says what it holds, and a full stop stays on the line of its formula."""

import re

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode, HideInputCells
from sphinx.transforms.post_transforms import SphinxPostTransform

OPENS, CLOSES = r"[(\[“‘]+$", r"^[)\],.;:!?’”]+"


class NameFolds(SphinxPostTransform):
    """Say "result" or "solution" where myst-nb calls every fold of a cell by the one name that it has."""

    default_priority = HideInputCells.default_priority + 1
    formats = ("html",)

    def run(self, **kwargs):
        """Rename the folds of cells; a name that a cell gives to its own code is kept."""
        for fold in self.document.findall(HideCodeCellNode):
            if "above-input" not in fold["classes"]:
                what = "result"
            elif "tag_solution" in fold.parent["classes"]:
                what = "solution"
            elif fold["prompt_show"].startswith("Show code cell"):  # myst-nb's own words
                what = "code"
            else:
                continue
            fold["prompt_show"], fold["prompt_hide"] = f"Show the {what}", f"Hide the {what}"


class KeepTogether(SphinxPostTransform):
    """Put a formula and the marks around it into one element: a browser breaks the line between them."""

    default_priority = 400
    formats = ("html",)

    def run(self, **kwargs):
        """Wrap each formula within a line that touches a bracket before it or a mark after it."""
        for formula in list(self.document.findall(nodes.math)):
            parent, place = formula.parent, formula.parent.index(formula)
            before = parent[place - 1] if place else None
            after = parent[place + 1] if place + 1 < len(parent) else None
            opening = re.search(OPENS, before) if isinstance(before, nodes.Text) else None
            closing = re.search(CLOSES, after) if isinstance(after, nodes.Text) else None
            if not opening and not closing:
                continue
            # By place: to docutils two texts that read the same, two full stops, are the same one.
            together = nodes.inline(classes=["bpa-together"])
            parent[place] = together
            if opening:
                parent[place - 1] = nodes.Text(before[: opening.start()])
                together += nodes.Text(opening[0])
            together += formula
            if closing:
                parent[place + 1] = nodes.Text(after[closing.end() :])
                together += nodes.Text(closing[0])


def setup(app):
    """Connect."""
    app.add_post_transform(NameFolds)
    app.add_post_transform(KeepTogether)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
