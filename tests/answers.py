"""What the check of an exercise must do with a right and with a wrong answer."""

import pytest

from bpa.checks import NotYet


def assert_passes(check, answer, capsys):
    """Every time anew, since a check draws fresh inputs at each call."""
    for _ in range(3):
        check(answer)
    assert capsys.readouterr().out.count("✓") == 3


def assert_refused(check, answer, hint, capsys):
    """Every time, with the hint that names the slip, and without a word of praise."""
    for _ in range(3):
        with pytest.raises(NotYet, match=hint):
            check(answer)
    assert capsys.readouterr().out == ""
