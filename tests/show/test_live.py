"""Plays the live figures in a real browser without a network: by key, mouse and touch, in both themes."""

import re
from pathlib import Path

import matplotlib
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM
from matplotlib import pyplot as plt
from playwright.sync_api import expect

from bpa import Network, load
from bpa.experiments.decode import load_goal_decoder
from bpa.show import explore, plots, predict, widgets
from bpa.show.learner import SMALL, VARIANTS, train_in_page
from bpa.training.checkpoint import load_weights

matplotlib.use("Agg")
pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is on the path (or in BPA_CHROMIUM) to play the live figures"
    ),
]


def reading(frame, name):
    return frame.locator(f"#{name}").text_content()


@pytest.mark.parametrize(("width", "theme"), [(800, "light"), (390, "dark")])
def test_the_frame_is_as_high_as_its_figure_and_has_the_theme_of_the_page(opened, width, theme):
    page, frame = opened(widgets.play_maze(seed=0), width, theme)
    html = frame.locator("html")
    assert html.get_attribute("data-theme") == theme
    fits = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert html.evaluate(fits) == [0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    before = page.locator("iframe").evaluate("e => e.offsetHeight")
    frame.locator("summary").last.click()
    page.wait_for_timeout(200)
    assert page.locator("iframe").evaluate("e => e.offsetHeight") > before
    assert html.evaluate(fits) == [0, 0]
    other = "dark" if theme == "light" else "light"
    page.evaluate(f"document.documentElement.dataset.theme = '{other}'")
    page.wait_for_timeout(200)
    assert html.get_attribute("data-theme") == other


def test_keys_and_buttons_move_the_reader_and_the_page_stands_still(opened):
    page, frame = opened(widgets.play_maze(seed=1))
    frame.locator("#view").select_option("map")
    board = frame.locator("#board")
    board.focus()
    assert "row 5, column 5;" in board.get_attribute("aria-label")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert "row 3, column 5;" in board.get_attribute("aria-label")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")  # into a pillar
    assert "row 3, column 4;" in board.get_attribute("aria-label")
    assert "wall" in reading(frame, "message")
    frame.locator("button[aria-label='right']").tap()
    assert "row 3, column 5;" in board.get_attribute("aria-label")
    assert reading(frame, "time") == "5 / 200"
    assert page.evaluate("scrollY") == 0
    frame.locator("summary").last.click()
    assert reading(frame, "neighbourhood") == "1 0 1\n0 0 0\n1 0 1"
    assert reading(frame, "others").splitlines() == ["0 1", "0.025", "0", "0 0 0 1"]
    frame.locator("#new").click()
    assert reading(frame, "time") == "0 / 200"


def test_an_agent_lives_in_the_page(opened):
    net = Network(17, 20, 4, generator=torch.Generator().manual_seed(0))
    page, frame = opened(widgets.watch_agent(net, seed=1), 390, "dark")
    for _ in range(3):
        frame.locator("#step").click()
    assert reading(frame, "time") == "3 / 200"
    assert reading(frame, "hebb-size") != "largest entry 0.00"
    frame.locator("#speed").select_option("40")
    frame.locator("#play").click()
    page.wait_for_timeout(500)
    frame.locator("#play").click()
    now = reading(frame, "time")
    assert now != "3 / 200"
    page.wait_for_timeout(200)
    assert reading(frame, "time") == now  # it pauses
    frame.locator("#many").click()
    expect(frame.locator("#with")).to_contain_text("in 20 episodes")
    assert " ± " in reading(frame, "with")
    assert reading(frame, "without") == "no whole episode yet"
    frame.locator("#traces").uncheck()
    frame.locator("#many").click()
    expect(frame.locator("#without")).to_contain_text("in 20 episodes")
    assert reading(frame, "message") == "20 episodes."
    best = "the best that we know of with these senses; by chance a few episodes bring more"
    assert reading(frame, "ideal") == f"expects 227.2 an episode, {best}"
    assert frame.locator("#step").is_disabled()
    frame.locator("#new").click()
    assert reading(frame, "time") == "0 / 200"


def test_levers_of_an_agent_do_what_they_say(opened):
    net = Network(17, 20, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.alpha.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
        net.h2o.weight.mul_(3)
    _, frame = opened(widgets.watch_agent(net, size=5, episode_length=12, seed=1))
    frame.locator("#laboratory > summary").click()

    def live(steps):
        for _ in range(steps):
            frame.locator("#step").click()

    def seen():
        named = ("score", "hebb-size", "gaps")
        path = frame.locator("#maze").evaluate("canvas => canvas.toDataURL()")
        return [reading(frame, name) for name in named] + [path]

    live(12)
    intact = seen()
    apart = reading(frame, "twin-score"), frame.locator("#twin").get_attribute("aria-label")
    assert apart[0] == reading(frame, "score")
    assert "in 1 episode" in reading(frame, "with")
    frame.locator("#again").click()
    assert reading(frame, "time") == "0 / 12"
    live(12)
    assert seen() == intact  # the same episode
    assert "in 1 episode" in reading(frame, "with"), "the same episode counts once"
    frame.locator("#again").click()
    live(4)
    frame.locator("#wipe-hebb").click()
    assert reading(frame, "hebb-size") == "largest entry 0.00"
    live(1)
    frame.locator("#frozen").check()
    held = reading(frame, "hebb-size")
    live(3)
    assert reading(frame, "hebb-size") == held != "largest entry 0.00"
    live(4)
    assert "in 1 episode" in reading(frame, "operated")
    frame.locator("#frozen").uncheck()
    frame.locator("#forced").select_option("-1")
    frame.locator("#again").click()
    live(2)
    frame.locator("#wipe-h").click()
    assert "now -1.00" in frame.locator("#modulation").get_attribute("aria-label")
    live(10)
    assert seen() != intact
    assert apart == (reading(frame, "twin-score"), frame.locator("#twin").get_attribute("aria-label"))
    assert "in 1 episode" in reading(frame, "operated"), "every operation counts apart"
    assert reading(frame, "operated").endswith("(step 0: M(t) always -1; step 2: activity wiped)")
    assert "in 1 episode" in reading(frame, "with")


def test_a_step_back_undoes_what_was_done_and_the_twin_lives_only_where_it_is_seen(opened):
    net = Network(17, 20, 4, generator=torch.Generator().manual_seed(0))
    page, frame = opened(widgets.watch_agent(net, size=5, episode_length=12, seed=1), 390)
    figure = page.frames[1]
    assert frame.locator("#back").is_disabled()
    seen = []
    for _ in range(6):
        frame.locator("#step").click()
        seen.append(reading(frame, "hebb-size"))
    assert frame.locator("#twin").is_hidden()
    assert figure.evaluate("lab.intact") is None
    frame.locator("#laboratory > summary").click()
    expect(frame.locator("#twin")).to_be_visible()
    assert figure.evaluate("lab.intact.maze.time") == 6
    frame.locator("#step").click()
    assert figure.evaluate("lab.intact.maze.time") == 7
    frame.locator("#laboratory > summary").click()
    expect(frame.locator("#twin")).to_be_hidden()
    frame.locator("#frozen").evaluate("box => box.click()")
    frame.locator("#step").click()
    assert figure.evaluate("lab.intact.maze.time") == 7
    assert frame.locator("#frozen").is_checked()
    frame.locator("#back").click()  # the traces were frozen before this step
    assert frame.locator("#frozen").is_checked()
    frame.locator("#back").click()
    assert not frame.locator("#frozen").is_checked()
    for size in reversed(seen):
        assert reading(frame, "hebb-size") == size
        frame.locator("#back").click()
    assert reading(frame, "hebb-size") == "largest entry 0.00"
    assert frame.locator("#back").is_disabled()


def canvas_place(frame, row, column, size=11):
    """Where on the canvas of the maze the middle of a cell is."""
    box = frame.locator("#maze").bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / size, box["y"] + (row + 0.5) * box["width"] / size


def test_the_goal_is_dragged_the_agent_is_lost_and_finds_it_once_its_traces_are_wiped(opened):
    page, frame = opened(widgets.watch_agent(load("maze-11"), seed=7))
    maze = frame.locator("#maze")
    frame.locator("#laboratory > summary").click()

    def live(until):
        page.frames[1].evaluate(f"while (lab.time < {until}) act(); draw()")

    live(60)
    assert reading(frame, "gaps") == "27, 10, 5, 6, 5", "it knows its goal"
    page.mouse.move(*canvas_place(frame, 1, 4))
    page.mouse.down()
    page.mouse.move(*canvas_place(frame, 4, 5), steps=3)
    assert "the goal at row 1, column 4." in maze.get_attribute("aria-label")
    page.mouse.move(*canvas_place(frame, 7, 7), steps=3)
    page.mouse.up()
    assert "the goal at row 7, column 7." in maze.get_attribute("aria-label")
    assert reading(frame, "message") == "The goal is at row 7, column 7, from step 60 on."
    assert reading(frame, "sought") == "at step 60; not found yet"
    live(100)
    assert reading(frame, "gaps") == "27, 10, 5, 6, 5", "it goes to where the goal was"
    assert int(reading(frame, "twin-score")) > int(reading(frame, "score"))
    for part in ("hebb", "h"):
        frame.locator(f"#wipe-{part}").click()
    live(200)
    assert reading(frame, "sought") == "at step 60; found after 52 steps"
    assert reading(frame, "message") == "The goal is found after 52 steps."
    last = [int(gap) for gap in reading(frame, "gaps").split(", ")][6:]
    assert len(last) == 15, "it has learned the new place"
    assert max(last) < 20
    assert "in 1 episode" in reading(frame, "operated")
    for name in ("step", "move-goal", "move-agent", "wipe-h"):
        assert frame.locator(f"#{name}").is_disabled()


def test_a_finger_drags_the_goal_and_scrolls_the_page_only_beside_it(opened):
    page, frame = opened(widgets.watch_agent(load("maze-11"), seed=7), 390)
    maze = frame.locator("#maze")
    page.evaluate("scrollTo(0, 150)")
    touch = page.context.new_cdp_session(page)

    def drag(start, end):
        for kind, share in (("touchStart", 0), ("touchMove", 0.5), ("touchMove", 1), ("touchEnd", None)):
            (x, y), (to_x, to_y) = start, end
            at = [] if share is None else [{"x": x + share * (to_x - x), "y": y + share * (to_y - y)}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
        page.wait_for_timeout(300)

    assert page.frames[1].evaluate("maze.goal") == [1, 4]
    drag(canvas_place(frame, 1, 4), canvas_place(frame, 7, 8))
    assert "the goal at row 7, column 8." in maze.get_attribute("aria-label")
    assert page.evaluate("scrollY") == 150
    drag(canvas_place(frame, 9, 2), canvas_place(frame, 3, 2))
    assert "at row 5, column 5, the goal at row 7, column 8." in maze.get_attribute("aria-label")
    assert page.evaluate("scrollY") > 200


def test_a_transplant_of_traces_takes_the_agent_to_the_goal_of_the_donor(opened):
    page, frame = opened(widgets.watch_agent(load("maze-11"), seed=3))
    frame.locator("#laboratory > summary").click()
    figure = page.frames[1]
    visits = {}
    for gift in ("hebb", "h"):
        frame.locator("#again").click()
        assert reading(frame, "foreign") == "none"
        figure.evaluate("while (lab.time < 100) act(); draw()")
        frame.locator("#gift").select_option(gift)
        frame.locator("#give").click()
        assert "whose goal is at row 6, column 1: the pale star." in reading(frame, "message")
        assert (
            reading(frame, "foreign")
            == "at step 100; went to the giver's goal, row 6, column 1, 0 times since"
        )
        figure.evaluate("while (!lab.done) act(); draw()")
        visits[gift] = int(reading(frame, "foreign").rsplit(", ", 1)[1].split()[0])
    assert visits == {"hebb": 8, "h": 0}
    assert frame.locator("#give").is_disabled()
    assert "in 1 episode," in reading(frame, "operated")
    done = "step 100: given the activity of an agent with another goal; 7 rewards until then, "
    assert reading(frame, "done").startswith(done)
    frame.locator("#again").click()
    figure.evaluate("while (lab.time < 100) act(); draw()")
    frame.locator("#wipe-hebb").click()
    frame.locator("#giver").select_option("twin")
    frame.locator("#gift").select_option("hebb")
    frame.locator("#give").click()
    figure.evaluate("while (!lab.done) act(); draw()")
    assert reading(frame, "score") == reading(frame, "twin-score"), "it has its own traces back"


def test_where_the_agent_thinks_its_goal_is_jumps_at_the_first_reward_and_with_a_transplant(opened):
    live = widgets.watch_agent(load("maze-11"), seed=0, decoder=load_goal_decoder("maze-11"))
    page, frame = opened(live)
    frame.locator("#laboratory > summary").click()
    figure = page.frames[1]
    assert reading(frame, "thought") == "nowhere yet"

    def far(cell, until):
        figure.evaluate(f"while (lab.time < {until}) act(); draw()")
        return figure.evaluate(f"distance(belief(subject), {cell})")

    goal = figure.evaluate("lab.subject.maze.goal")
    assert goal == [8, 1]
    assert far(goal, 16) > 3
    shown = reading(frame, "thought")
    assert f"{far(goal, 16):.1f} cells from the goal" in shown
    assert reading(frame, "gaps") == "none yet"
    assert far(goal, 20) < 1.5
    assert reading(frame, "thought") != shown
    assert far(goal, 100) < 1.5
    seen = frame.locator("#maze").evaluate("canvas => canvas.toDataURL()")
    frame.locator("#belief").uncheck()
    assert frame.locator("#maze").evaluate("canvas => canvas.toDataURL()") != seen
    frame.locator("#give").click()
    donors = figure.evaluate("lab.subject.foreign.goal")
    assert far(donors, 100) > 3
    assert far(donors, 110) < 1.5 < far(goal, 110)


def test_a_link_holds_a_moment_and_the_page_hands_it_to_its_figure(opened):
    page, frame = opened(widgets.watch_agent(load("maze-11"), seed=7))
    figure = page.frames[1]
    frame.locator("#laboratory > summary").click()
    figure.evaluate("while (lab.time < 60) act(); draw()")
    frame.locator("#give").click()
    frame.locator("#frozen").check()
    figure.evaluate("while (lab.time < 90) act(); draw()")

    def seen():
        told = [
            reading(frame, name) for name in ("time", "score", "gaps", "foreign", "hebb-size", "twin-score")
        ]
        return [
            *told,
            frame.locator("#maze").get_attribute("aria-label"),
            frame.locator("#frozen").is_checked(),
        ]

    moment = seen()
    frame.locator("#link").click()
    address = frame.locator("#address")
    expect(address).to_have_value(re.compile(r"file:.*page.html#agent:\d+-90-60_give_hebbdonor-60_frozen_on"))
    assert page.url == address.input_value()
    frame.locator("#frozen").uncheck()
    frame.locator("#new").click()
    assert seen() != moment
    link = page.url
    page.evaluate("location.hash = ''")
    page.evaluate(f"location.href = {link!r}")  # as a link in the text would
    expect(frame.locator("#message")).to_have_text("Step 90 of the episode in the link.")
    assert seen() == moment
    page.reload()  # as if somebody else had opened the link
    expect(frame.locator("#message")).to_have_text("Step 90 of the episode in the link.")
    expect(frame.locator("#twin")).to_be_visible()
    assert seen() == moment
    page.evaluate("location.hash = 'agent:1-999'")
    expect(frame.locator("#message")).to_contain_text("does not work here")
    assert reading(frame, "time") == "0 / 200"
    page.evaluate("location.hash = 'some-heading'")
    page.wait_for_timeout(100)
    assert "does not work here" in reading(frame, "message")
    assert page.url.endswith("#some-heading"), "no figure changes the address unasked"


def test_links_in_the_text_are_moments_that_the_figure_knows(opened):
    chapter = Path(__file__).parents[2] / "book" / "chapters" / "12_inside_the_agent.ipynb"
    links = re.findall(r'href=\\"#(agent:[^"\\]+)', chapter.read_text(encoding="utf-8"))
    assert len(links) == 4
    page, frame = opened(widgets.watch_agent(load("maze-11"), decoder=load_goal_decoder("maze-11")))
    frame.locator("#mind summary").click()
    for link in links:
        page.evaluate(f"location.hash = {link!r}")
        step = link.split("-")[1]
        expect(frame.locator("#message")).to_have_text(f"Step {step} of the episode in the link.")
        assert reading(frame, "time") == f"{step} / 200"
        if "_" not in link:  # nothing is done to it
            assert len(reading(frame, "gaps").split(", ")) == 4
            assert page.frames[1].evaluate("subject.rewardSteps.at(-1)") == int(step)
            assert reading(frame, "knows") == "its own place: 12 of 65 cells; its goal: 1 of 65 cells"
            until = "while (subject.ideal.places.length > 1) act(); lab.time"
            assert page.frames[1].evaluate(until) == int(step) + 5, (
                "one frame is left, before the next reward"
            )
            assert page.frames[1].evaluate("subject.rewardSteps.length") == 4
            continue
        page.frames[1].evaluate("while (!lab.done) act(); draw()")
        found = reading(frame, "sought")
        if "wipe" in link:
            assert found == "at step 60; found after 49 steps"
        elif "goal" in link:
            assert found == "at step 60; not found yet"
        else:
            assert "8 times since" in reading(frame, "foreign")


def test_a_link_is_followed_once_a_click_and_again_when_it_is_clicked_again(opened, click_link):
    text = '<p><a id="moment" href="#agent:7-30">one</a> <a id="other" href="#sheet:agent:7-30">other</a></p>'
    page, frame = opened(widgets.watch_agent(load("maze-11")), text=text)
    page.frames[1].evaluate("followed = 0; addEventListener('settings', () => { followed += 1; })")
    for count in (1, 2):
        frame.locator("#new").click()
        click_link(page, "moment")
        assert reading(frame, "time") == "30 / 200"
        assert page.frames[1].evaluate("followed") == count
    click_link(page, "other")
    page.go_back()  # to the moment, by the address alone
    expect(frame.locator("#message")).to_have_text("Step 30 of the episode in the link.")
    assert page.frames[1].evaluate("followed") == 3


def test_the_agent_is_put_elsewhere_by_keyboard_and_by_touch(opened):
    page, frame = opened(widgets.watch_agent(load("maze-11"), seed=4), 390)
    maze, message = frame.locator("#maze"), frame.locator("#message")
    frame.locator("#laboratory > summary").click()
    frame.locator("#move-agent").focus()
    page.keyboard.press("Enter")
    assert maze.get_attribute("role") == "application"
    for key in ("ArrowUp", "ArrowLeft", "ArrowUp"):  # to the left over a pillar
        page.keyboard.press(key)
    assert reading(frame, "message") == "Over row 3, column 3."
    page.keyboard.press("Escape")
    assert "stays where it is" in reading(frame, "message")
    assert "The agent is at row 5, column 5," in maze.get_attribute("aria-label")
    page.keyboard.press("Enter")  # the button has the focus again
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "The agent is at row 7, column 5," in maze.get_attribute("aria-label")
    assert maze.get_attribute("role") == "img"
    assert reading(frame, "sought") == "no"
    frame.locator("#move-agent").tap()
    goal = page.frames[1].evaluate("lab.subject.maze.goal")
    maze.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    page.touchscreen.tap(*canvas_place(frame, *goal))
    expect(message).to_have_text("The goal is there. Choose another cell.")
    page.touchscreen.tap(*canvas_place(frame, 1, 4))
    assert "The agent is at row 1, column 4," in maze.get_attribute("aria-label")
    page.touchscreen.tap(*canvas_place(frame, *goal))  # picks the goal up
    page.touchscreen.tap(*canvas_place(frame, 3, 3))
    assert reading(frame, "sought") == "at step 0; not found yet"
    assert "the goal at row 3, column 3." in maze.get_attribute("aria-label")
    assert page.evaluate("scrollY") == scrolled
    page.touchscreen.tap(*canvas_place(frame, 3, 3))
    frame.locator("#play").click()  # it lets go
    frame.locator("#play").click()
    assert page.frames[1].evaluate("hand.what") is None


def test_an_agent_plays_by_itself_from_episode_to_episode_until_the_reader_does_something(opened):
    net = Network(17, 8, 4, generator=torch.Generator().manual_seed(0))
    page, frame = opened(widgets.watch_agent(net, episode_length=8, autoplay=True, seed=1))
    expect(frame.locator("#with")).to_contain_text("in 1 episode", timeout=5000)
    expect(frame.locator("#with")).to_contain_text("in 2 episodes", timeout=10000)
    frame.locator("#traces").uncheck()  # the figure goes on
    frame.locator("#speed").select_option("40")
    expect(frame.locator("#without")).to_contain_text("in 1 episode", timeout=10000)
    frame.locator("#play").click()
    now = reading(frame, "time")
    page.wait_for_timeout(2500)
    assert reading(frame, "time") == now


TINY = SMALL.replace(size=5, episode_length=10, hidden_size=6, batch_size=2, iterations=40)


@pytest.mark.parametrize("before", ["", "delete window.Worker"], ids=["worker", "no worker"])
def test_an_agent_is_trained_in_the_page_and_saved(opened, tmp_path, before):
    page, frame = opened(train_in_page(TINY.replace(seed=3)), 390, "dark", before=before)
    expect(frame.locator("#message")).to_contain_text("Random weights")
    assert reading(frame, "iteration") == "0 of 40"
    frame.locator("#rate").select_option("0.005")
    frame.locator("#penalty").select_option("0.03")
    frame.locator("#run").focus()
    page.keyboard.press("Enter")
    expect(frame.locator("#iteration")).to_have_text("40 of 40", timeout=20000)
    assert reading(frame, "episodes") == "80"
    expect(frame.locator("#message")).to_contain_text("After 40 iterations")
    assert float(reading(frame, "mean")) > 0
    assert frame.locator("#run").is_disabled()
    frame.locator("#test").click()
    words = "with its traces silenced, in 100 fresh episodes, after 40 iterations"
    expect(frame.locator("#tested")).to_contain_text(words)
    assert reading(frame, "earlier") == "none"
    with page.expect_download() as download:
        frame.locator("#save").click()
    download.value.save_as(tmp_path / "page.safetensors")
    net, config = load_weights(tmp_path / "page.safetensors")
    assert (net.plasticity, net.hidden_size, config.size) == ("simple", 6, 5)
    assert (config.learning_rate, config.concentration_coef, config.seed) == (0.005, 0.03, 3)
    assert config.replace(learning_rate=0.0025, concentration_coef=0.01) == TINY.replace(seed=3)
    assert net.w.abs().max() > 0.001, "the first weights are below it"
    assert net.w.unique().numel() == 36


def test_the_same_seed_gives_the_same_agent_and_another_network_begins_anew(opened):
    _, frame = opened(train_in_page(TINY))
    tested = []
    for seed in ("7", "8", "7"):
        frame.locator("#seed").fill(seed)
        frame.locator("#seed").press("Tab")
        expect(frame.locator("#iteration")).to_have_text("0 of 40")
        frame.locator("#run").click()
        expect(frame.locator("#iteration")).to_have_text("40 of 40", timeout=20000)
        frame.locator("#test").click()
        expect(frame.locator("#tested")).to_contain_text("fresh")
        tested.append((reading(frame, "mean"), reading(frame, "tested")))
    assert tested[0] == tested[2] != tested[1]
    options = frame.locator("#variant option").all_text_contents()
    assert options == list(VARIANTS)
    for label in options:
        frame.locator("#variant").select_option(label)
        expect(frame.locator("#iteration")).to_have_text("0 of 40")
        assert frame.locator("#hebb").is_visible() == (label not in ("no plasticity", "LSTM"))
        frame.locator("#run").click()
        expect(frame.locator("#iteration")).to_have_text("40 of 40", timeout=20000)


def test_the_curve_of_the_training_before_stays_to_be_compared(opened):
    page, frame = opened(train_in_page(TINY.replace(seed=3)))
    looks = "document.getElementById('curve').toDataURL()"
    frame.locator("#run").click()
    expect(frame.locator("#iteration")).to_have_text("40 of 40", timeout=20000)
    mean = reading(frame, "mean")
    frame.locator("#variant").select_option("LSTM")
    expect(frame.locator("#earlier")).to_have_text(f"simple modulation: {mean} after 40 iterations")
    expect(frame.locator("#iteration")).to_have_text("0 of 40")
    with_it = page.frames[1].evaluate(looks)
    page.frames[1].evaluate("earlier = null; draw()")
    assert page.frames[1].evaluate(looks) != with_it, "it is not drawn"
    frame.locator("#rate").select_option("0.02")
    frame.locator("#run").click()
    expect(frame.locator("#iteration")).to_have_text("40 of 40", timeout=20000)
    frame.locator("#test").click()
    expect(frame.locator("#tested")).to_contain_text(" ± ")
    mean, test = reading(frame, "mean"), reading(frame, "tested")
    frame.locator("#seed").fill("4")
    frame.locator("#seed").press("Enter")
    expect(frame.locator("#earlier")).to_have_text(
        f"LSTM, seed 3, rate 0.02: {mean} after 40 iterations; tested: {test}"
    )
    _, frame = opened(train_in_page(TINY.replace(seed=3)))
    frame.locator("#variant").select_option("LSTM")  # nothing was trained, nothing is kept
    expect(frame.locator("#earlier")).to_have_text("none")


def test_a_training_stops_goes_on_and_begins_again(opened):
    _, frame = opened(train_in_page(TINY.replace(iterations=100000)))
    run, iteration = frame.locator("#run"), frame.locator("#iteration")
    run.click()
    expect(run).to_have_text("Stop")
    expect(iteration).not_to_have_text("0 of 100000")
    run.click()
    expect(frame.locator("#message")).to_contain_text("iterations the last")
    stopped = iteration.text_content()
    frame.locator("#walk").uncheck()
    frame.locator("#traces").uncheck()
    assert iteration.text_content() == stopped
    expect(run).to_have_text("Go on")
    run.click()
    expect(iteration).not_to_have_text(stopped)
    frame.locator("#reset").click()
    expect(iteration).to_have_text("0 of 100000")
    expect(run).to_have_text("Start training")


def test_an_agent_that_learns_walks_unless_its_reader_wants_less_motion(opened):
    _, frame = opened(train_in_page(TINY.replace(episode_length=1000, iterations=100000)))
    frame.locator("#run").click()
    expect(frame.locator("#time")).not_to_have_text("0 of 1000")
    assert frame.locator("#walk").is_checked()
    _, frame = opened(train_in_page(TINY.replace(iterations=100000)), motion="reduce")
    assert not frame.locator("#walk").is_checked()
    frame.locator("#run").click()
    expect(frame.locator("#age")).not_to_have_text("0")
    assert reading(frame, "time") == "10 of 10"  # only whole episodes are shown


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_laboratory_fits_and_has_no_barrier(opened, width, theme):
    live = widgets.watch_agent(load("maze-11"), seed=3, decoder=load_goal_decoder("maze-11"))
    page, frame = opened(live, width, theme)
    frame.locator("#laboratory > summary").click()
    frame.locator("#link").click()
    page.frames[1].evaluate("while (lab.time < 60) act(); draw()")
    frame.locator("#give").click()
    frame.locator("#move-goal").click()
    page.wait_for_timeout(300)
    fits = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert frame.locator("html").evaluate(fits) == [0, 0]
    report = Axe().run(page.frames[1], context="#figure").response["violations"]
    assert [(rule["id"], rule["nodes"]) for rule in report] == []


@pytest.mark.parametrize(("width", "theme"), [(800, "light"), (390, "dark")])
def test_the_learner_fits_and_has_no_barrier(opened, width, theme):
    page, frame = opened(train_in_page(TINY), width, theme)
    fits = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    assert frame.locator("html").evaluate(fits) == [0, 0]
    inside = page.frames[1]
    report = Axe().run(inside, context="#figure").response["violations"]
    assert [rule["id"] for rule in report if rule["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize(("autoplay", "motion"), [(True, "reduce"), (False, "no-preference")])
def test_an_agent_waits_where_it_is_not_to_play_by_itself(opened, autoplay, motion):
    net = Network(17, 8, 4, generator=torch.Generator().manual_seed(0))
    page, frame = opened(widgets.watch_agent(net, autoplay=autoplay), motion=motion)
    page.wait_for_timeout(500)
    assert reading(frame, "time") == "0 / 200"
    assert reading(frame, "play") == "Play"


@pytest.mark.parametrize(("plasticity", "hidden"), [("none", True), ("plastic", False), ("simple", False)])
def test_a_network_without_traces_or_modulator_shows_none(opened, plasticity, hidden):
    _, frame = opened(widgets.watch_agent(Network(17, 10, 4, plasticity=plasticity), seed=1))
    assert frame.locator("#hebb").is_hidden() == hidden
    assert frame.locator("#modulation").is_hidden() == (plasticity != "simple")
    frame.locator("#many").click()
    expect(frame.locator("#with")).to_contain_text("in 20 episodes")


def test_many_episodes_run_in_slices_and_stop(opened):
    net = Network(17, 60, 4, generator=torch.Generator().manual_seed(0))
    page, frame = opened(widgets.watch_agent(net, size=19, episode_length=2000, seed=1))
    assert frame.locator("#ideal").is_hidden()  # nobody has computed it for so large a maze
    frame.locator("#many").click()
    expect(frame.locator("#many")).to_have_text("Stop")
    some = re.compile(r"\b([2-9]|1\d) of 20 episodes")  # a look may come late and miss the second
    expect(frame.locator("#message")).to_contain_text(some, timeout=30000)
    frame.locator("#many").click()
    expect(frame.locator("#many")).to_have_text("Run 20 episodes")
    counted = reading(frame, "with")
    assert 2 <= int(counted.split()[-2]) < 20
    page.wait_for_timeout(300)
    assert reading(frame, "with") == counted


def wide(exponent=2):
    figure, axes = plt.subplots(figsize=(6.4, 2))
    axes.plot([x**exponent for x in range(5)])
    return figure


@pytest.mark.parametrize(
    "make",
    [
        lambda: widgets.frames([wide(1), wide(2)], ["one", "two"], title="Lines", alt="A line"),
        lambda: explore(wide, title="Powers", alt="A curve", exponent=(1, 2, 1)).page(),
    ],
    ids=["frames", "explore"],
)
def test_the_letters_of_a_wide_picture_do_not_shrink_on_a_phone(opened, make):
    page, frame = opened(make(), 390)
    assert frame.locator("#picture").bounding_box()["width"] == 415  # its letters of 10 points have 9 pixels
    scroll = frame.locator(".scroll")
    assert scroll.evaluate("element => element.scrollWidth > element.clientWidth")
    assert scroll.evaluate("element => getComputedStyle(element).overflowX") == "auto"
    assert page.evaluate("document.documentElement.scrollWidth <= 390")
    expect(scroll).to_have_class("scroll after")  # its right edge fades
    scroll.evaluate("element => element.scrollTo(element.scrollWidth, 0)")
    expect(scroll).to_have_class("scroll before")


def test_a_picture_with_large_letters_is_seen_whole_on_a_phone(opened):
    """What a control changes must be in view while the control is moved."""

    def titled(k=1):
        figure, panels = plt.subplots(1, 3, figsize=(5.4, 2))
        for panel in panels:
            panel.imshow([[k]])
            panel.set(xticks=[], yticks=[])
            panel.set_title("seen", fontsize=12)
        return figure

    _, frame = opened(explore(titled, title="Three", alt="Pictures", k=(1, 2, 1)).page(), 390)
    assert frame.locator("#picture").bounding_box()["width"] < 390
    assert frame.locator(".scroll").evaluate("element => element.scrollWidth <= element.clientWidth")


def test_frames_turn_by_key_and_play_to_the_end(opened):
    with plt.style.context(plots.STYLE):
        figures = []
        for count in range(3):
            figure, axes = plt.subplots(figsize=(3, 2))
            axes.plot(range(count + 2))
            figures.append(figure)
        live = widgets.frames(figures, ["one", "two", "three"], title="Lines", alt="A line")
    page, frame = opened(live, 390)
    picture = frame.locator("#picture")
    assert picture.get_attribute("alt") == "A line (one)"
    first = picture.get_attribute("src")
    frame.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    assert reading(frame, "label") == "two"
    assert frame.locator("#slider").get_attribute("aria-valuetext") == "two"
    assert picture.get_attribute("alt") == "A line (two)"
    assert picture.get_attribute("src") != first
    frame.locator("#play").click()
    expect(frame.locator("#label")).to_have_text("three")
    expect(frame.locator("#play")).to_have_text("Play")


def draw_power(exponent=2, shade=False, kind="line"):
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot([x**exponent for x in range(5)], linestyle="-" if kind == "line" else ":")
    axes.set_facecolor("0.8" if shade else "1.0")
    return figure, f"exponent {exponent}"


def test_controls_change_the_picture(opened):
    controls = {"exponent": (1, 3, 1), "shade": False, "kind": ["line", "dots"]}
    live = explore(draw_power, title="Powers", alt="A curve", **controls).page()
    page, frame = opened(live, 390)
    picture = frame.locator("#picture")
    seen = {picture.get_attribute("src")}
    assert picture.get_attribute("alt") == "A curve (exponent 2, shade False, kind line)"
    frame.get_by_label("exponent").focus()
    page.keyboard.press("ArrowRight")
    assert reading(frame, "text") == "exponent 3"
    assert frame.get_by_label("exponent").get_attribute("aria-valuetext") == "3"
    seen.add(picture.get_attribute("src"))
    frame.get_by_label("shade").check()
    assert picture.get_attribute("alt") == "A curve (exponent 3, shade True, kind line)"
    seen.add(picture.get_attribute("src"))
    frame.get_by_label("kind").select_option("dots")
    assert picture.get_attribute("alt") == "A curve (exponent 3, shade True, kind dots)"
    seen.add(picture.get_attribute("src"))
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(200)
    seen.add(picture.get_attribute("src"))
    assert len(seen) == 5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_prediction_is_locked_in_and_counted_over_the_page(browser, tmp_path, theme):
    questions = [
        predict("One?", ["yes", "no"], right=0, why="So it is."),
        predict("Two?", ["yes", "no", "neither"], right=2, why="Because of `that`."),
    ]
    path = tmp_path / "page.html"
    ground = "#14181e; color: #e8e8e8" if theme == "dark" else "#ffffff; color: #1c1c1c"
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>'
        f'<body style="background:{ground}"><main>'
        f"{questions[0].page()}{questions[1].page()}</main></body></html>",
        encoding="utf-8",
    )
    context = browser.new_context(viewport={"width": 390, "height": 700}, offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    one, two = page.locator(".bpa-predict").all()
    assert not two.locator(".bpa-why").is_visible()
    one.get_by_role("button", name="A yes").click()
    assert one.locator(".bpa-verdict").text_content() == "Right. On this page: 1 of 1."
    two.get_by_role("button", name="B no").focus()
    page.keyboard.press("Enter")
    assert two.locator(".bpa-verdict").text_content() == "Not so: it is C. On this page: 1 of 2."
    assert two.locator(".bpa-why").is_visible()
    for button in two.get_by_role("button").all():
        assert button.is_disabled()
    report = Axe().run(page, context="main").response["violations"]
    assert [rule["id"] for rule in report if rule["impact"] in ("serious", "critical")] == []
    context.close()
