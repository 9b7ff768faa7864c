"""Sphinx extension: the docstring of a field or property is shown as it was written."""


def keep_field_docstring(app, what, name, obj, options, lines):
    """Keep napoleon from reading "Seed of the run: weights, mazes" as a type and a text.

    An empty type before the first colon is its own notation for "no type here". A named tuple's
    "Alias for field number 0" says nothing and goes.
    """
    if what in ("attribute", "property") and lines:
        if lines[0].startswith("Alias for field number"):
            lines.clear()
        elif ":" in lines[0]:
            lines[0] = ":" + lines[0]


def setup(app):
    """Connect before napoleon, which listens with the default priority of 500."""
    app.connect("autodoc-process-docstring", keep_field_docstring, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
