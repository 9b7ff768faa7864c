"""Predict before you run: a question with a few answers to choose from, one of them right."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import ipywidgets

from bpa.arguments import require_integer
from bpa.show.plots import require_text
from bpa.show.widgets import source

LETTERS = "ABCD"


class Tally:
    """How many predictions of this kernel were made, and how many were right."""

    def __init__(self) -> None:
        self.made = 0
        self.right = 0

    def count(self, right: bool) -> str:
        """Count one more, and say how it stands."""
        self.made += 1
        self.right += right
        return f"{self.right} of {self.made} so far"


TALLY = Tally()


def inline(text: str) -> str:
    """Plain text as HTML: `code` between backticks and *emphasis* between stars are understood."""
    parts = re.split(r"`([^`]+)`", html.escape(text, quote=False))
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = f"<code>{part}</code>"
        else:
            parts[place] = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", part)
    return "".join(parts)


def plain(text: str) -> str:
    """The same text without its marks."""
    return re.sub(r"[`*]", "", text)


class Prediction:
    """A question that a notebook shows as a widget, and a page without a kernel as plain HTML."""

    def __init__(self, question: str, answers: Sequence[str], right: int, why: str):
        self.question = question
        self.answers = tuple(answers)
        self.right = right
        self.why = why

    def verdict(self, chosen: int) -> str:
        """What is said of a choice, as text with marks."""
        if chosen == self.right:
            return f"Right. {self.why}"
        return f"You said: {self.answers[chosen]} It is: {self.answers[self.right]} {self.why}"

    def page(self) -> str:
        """The face for a page: buttons that lock the choice in, without a kernel or a network."""
        buttons = "".join(
            f'<button type="button" data-place="{place}"><b>{LETTERS[place]}</b> {inline(answer)}</button>'
            for place, answer in enumerate(self.answers)
        )
        return (
            f"<style>{source('predict.css')}</style>"
            f'<div class="bpa-predict" role="group" aria-label="Predict" data-right="{self.right}">'
            f"<p><b>Predict.</b> {inline(self.question)}</p><div>{buttons}</div>"
            f'<p class="bpa-verdict" role="status"></p><p class="bpa-why" hidden>{inline(self.why)}</p>'
            f"<script>{source('predict.js')}</script></div>"
        )

    def panel(self) -> ipywidgets.VBox:
        """The face for a live notebook. The first choice is locked in."""
        choices = ipywidgets.RadioButtons(
            options=[(f"{LETTERS[p]}  {plain(answer)}", p) for p, answer in enumerate(self.answers)],
            value=None,
            layout=ipywidgets.Layout(width="auto"),
        )
        said = ipywidgets.HTML()

        def choose(change: dict[str, Any]) -> None:
            if choices.disabled or change["new"] is None:
                return
            choices.disabled = True
            tally = TALLY.count(change["new"] == self.right)
            said.value = f"<p>{inline(self.verdict(change['new']))} <em>({tally})</em></p>"

        choices.observe(choose, names="value")
        return ipywidgets.VBox([ipywidgets.HTML(f"<b>Predict.</b> {inline(self.question)}"), choices, said])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.panel()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/html": self.page(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        lines = [f"Predict. {plain(self.question)}"]
        return "\n".join(lines + [f"  {LETTERS[p]}  {plain(a)}" for p, a in enumerate(self.answers)])


def predict(question: str, answers: Sequence[str], right: int, why: str) -> Prediction:
    """Ask the reader for a prediction, before the cell that shows what happens.

    The first choice is locked in; then the reason is shown, and how many predictions were right so far. In a
    live notebook it is a widget, in the built page plain HTML that does the same.

    Args:
        question: what is to be foretold. `code` and *emphasis* are understood here and below.
        answers: two to four, each a text that says something of its own.
        right: place of the right answer, from 0.
        why: why it is right, in a sentence or two.

    Raises:
        ValueError: there is no text, or there are not two to four different answers.

    Example:
        >>> from bpa.show import predict
        >>> predict("What is 0 times 3?", ["3", "0"], right=1, why="Nothing, three times.")
        Predict. What is 0 times 3?
          A  3
          B  0
    """
    require_text("question", question)
    require_text("why", why)
    answers = [require_text("answers", answer) for answer in answers]
    if not 2 <= len(answers) <= len(LETTERS) or len(set(answers)) < len(answers):
        raise ValueError(f"answers must be two to four different texts, got {answers}")
    right = require_integer("right", right, low=0, high=len(answers) - 1)
    return Prediction(question, answers, right, why)
