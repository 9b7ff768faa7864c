"""Sphinx extension: the docstring of a field or property is shown as it was written, then its range."""

import sys

from bpa.fields import ranges


def with_range(name, lines):
    """Put the range of a dataclass's field, such as "bpa.cli.PlayArguments.fps", behind its docstring."""
    module, _, kind = name.rpartition(".")[0].rpartition(".")
    numbers = ranges(getattr(sys.modules.get(module), kind, None))
    if (field := name.rpartition(".")[2]) in numbers:
        while lines and not lines[-1]:
            lines.pop()
        lines[-1:] = [f"{lines[-1]} Allowed: {numbers[field]}.", ""]


def keep_field_docstring(app, what, name, obj, options, lines):
    """Keep napoleon from reading "Seed of the run: weights, mazes" as a type and a text.

    An empty type before the first colon is its own notation for "no type here". A named tuple's
    "Alias for field number 0" says nothing and goes.
    """
    if what in ("attribute", "property") and lines:
        with_range(name, lines)
        if lines[0].startswith("Alias for field number"):
            lines.clear()
        elif ":" in lines[0]:
            lines[0] = ":" + lines[0]


def setup(app):
    """Connect before napoleon, which listens with the default priority of 500."""
    app.connect("autodoc-process-docstring", keep_field_docstring, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
