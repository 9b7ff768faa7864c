"""Figures with controls and predictions: what they are made of, and how a live notebook drives them."""

import queue
import re

import matplotlib
import pytest
from jupyter_client.manager import start_new_kernel
from matplotlib import pyplot as plt

from bpa.show import explore, predict
from bpa.show.questions import TALLY

matplotlib.use("Agg")


def power(exponent=2, shade=False, kind="line"):
    figure, axes = plt.subplots(figsize=(2, 1.5))
    axes.plot([x**exponent for x in range(5)], linestyle="-" if kind == "line" else ":")
    axes.set_facecolor("0.8" if shade else "1.0")
    return figure, f"the {exponent}th power"


CONTROLS = {"exponent": (1, 3, 1), "shade": False, "kind": ["line", "dots"]}


def explorer(**changes):
    return explore(power, **({"title": "Powers", "alt": "A curve"} | CONTROLS | changes))


def test_the_page_has_a_picture_for_every_combination():
    figure = explorer()
    data = figure.page().data
    light, dark = data["frames"]
    assert len(light) == len(dark) == len(data["alts"]) == len(data["texts"]) == 12
    assert len({*light, *dark}) == 24
    assert [control["kind"] for control in data["controls"]] == ["slider", "switch", "choice"]
    assert [control["start"] for control in data["controls"]] == [1, 0, 0]
    # The last control changes fastest, as the script in the page counts.
    assert data["alts"][0] == "A curve (exponent 1, shade False, kind line)"
    assert data["alts"][1] == "A curve (exponent 1, shade False, kind dots)"
    assert data["alts"][4] == "A curve (exponent 2, shade False, kind line)"
    assert data["texts"][4] == "the 2th power"
    assert plt.get_fignums() == []


def test_a_page_may_show_fewer_values_than_a_notebook():
    figure = explorer(exponent=(0, 9, 0.5), page={"exponent": [1, 2, 3]})
    assert len(figure.page().data["alts"]) == 12
    (slider,) = [w for w in figure.panel().children if w.description == "exponent"]
    assert len(slider.options) == 19


def test_one_object_has_both_faces():
    for shown in (explorer(), predict("Which?", ["this", "that"], right=0, why="So it is.")):
        bundle = shown._repr_mimebundle_()
        assert {"text/html", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
        assert not re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", bundle["text/html"])


def test_a_control_draws_anew():
    panel = explorer().panel()
    *_, picture = panel.children
    before = picture.value
    (slider,) = [w for w in panel.children if w.description == "exponent"]
    slider.value = 3
    assert picture.value != before
    assert "the 3th power" in picture.value
    assert "A curve (exponent 3, shade False, kind line)" in picture.value
    slider.value = 2
    assert picture.value == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent": 3}, "exponent must be"),
        ({"exponent": (3, 1, 1)}, "must rise from low to high"),
        ({"exponent": (1, 3, 0)}, "in steps above 0"),
        ({"exponent": (1, 4, 2)}, "in whole steps"),
        ({"exponent": (3, 5, 1)}, "start, the default of draw, must be among its values, got 2"),
        ({"kind": ["line"]}, "kind must be"),
        ({"exponent": (0, 40, 1)}, "at most 60 pictures, got 164"),
        ({"page": {"exponent": [1, 3]}}, "page must hold the start, 2"),
        ({"page": {"exponent": [2, 7]}}, "page must be among its values, got 7"),
        ({"page": {"power": [2]}}, "page must name controls"),
        ({"title": ""}, "title must be text"),
        ({"alt": ""}, "alt must be text"),
        ({"other": True}, "controls must be the parameters of draw"),
    ],
)
def test_bad_controls_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changes)


def test_a_figure_that_is_none_is_refused():
    with pytest.raises(ValueError, match="draw must return a matplotlib Figure, got int"):
        explore(lambda n: n, title="t", alt="a", n=[1, 2]).panel()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", ["a", "b"], 0, "w"), "question must be text"),
        (("q", ["a"], 0, "w"), "two to four"),
        (("q", ["a", "a"], 0, "w"), "two to four different"),
        (("q", list("abcde"), 0, "w"), "two to four"),
        (("q", ["a", ""], 0, "w"), "answers must be text"),
        (("q", ["a", "b"], 2, "w"), "right must be"),
        (("q", ["a", "b"], 0, " "), "why must be text"),
    ],
)
def test_bad_questions_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        predict(*arguments)


def test_a_choice_is_locked_in_and_counted():
    made, right = TALLY.made, TALLY.right
    panel = predict("Is `a < b` *here*?", ["yes", "no"], right=1, why="It is not.").panel()
    head, choices, said = panel.children
    assert "<code>a &lt; b</code> <em>here</em>" in head.value
    choices.value = 0
    assert choices.disabled
    first = said.value
    assert "You said: yes It is: no It is not." in first
    choices.value = 1
    assert said.value == first
    assert (TALLY.made, TALLY.right) == (made + 1, right)


SHOW = """
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt
from bpa.show import explore
def power(exponent=2):
    figure, axes = plt.subplots(figsize=(2, 1.5))
    axes.plot([x**exponent for x in range(5)])
    return figure, f"the {exponent}th power"
explore(power, title="Powers", alt="A curve", exponent=(1, 3, 1))
"""


def test_a_kernel_answers_a_control_as_a_notebook_moves_it():
    """The messages that a notebook sends when a slider is dragged, and the picture that comes back."""
    manager, client = start_new_kernel()
    try:
        models = {}

        def listen(until):
            while True:
                message = client.get_iopub_msg(timeout=60)
                kind, content = message["msg_type"], message["content"]
                assert kind != "error", content
                if kind == "comm_open":
                    models[content["comm_id"]] = content["data"]["state"]
                if kind == "comm_msg" and content["data"].get("method") == "update":
                    models[content["comm_id"]].update(content["data"]["state"])
                if kind == "display_data" or kind == "execute_result":
                    assert "application/vnd.jupyter.widget-view+json" in content["data"]
                mine = message["parent_header"].get("msg_id") == until
                if kind == "status" and content["execution_state"] == "idle" and mine:
                    return

        listen(client.execute(SHOW))
        (slider,) = [key for key, state in models.items() if state.get("description") == "exponent"]
        (picture,) = [key for key, state in models.items() if "2th power" in str(state.get("value"))]
        change = {"comm_id": slider, "data": {"method": "update", "state": {"index": 2}, "buffer_paths": []}}
        message = client.session.msg("comm_msg", change)
        client.shell_channel.send(message)
        listen(message["header"]["msg_id"])
        assert "the 3th power" in models[picture]["value"]
    except queue.Empty:
        pytest.fail("the kernel did not answer")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
