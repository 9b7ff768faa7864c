"""A chapter must not write to stderr: a warning there is a page that the reader has to explain away."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from prepare import prepare


def pytest_configure():
    """See to what the kernels need before the first of them starts."""
    prepare()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fail a notebook's cell that ran well but wrote to stderr; nbval itself lets it pass."""
    result = yield
    stderr = "".join(
        output.text
        for output in getattr(item, "test_outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    )
    if stderr:
        item.raise_cell_error("The cell wrote to stderr", stderr)
    return result
