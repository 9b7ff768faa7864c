"""The reader is the agent: whole episodes of the cue task and of the maze, by key, finger and link."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM
from playwright.sync_api import expect

from bpa.envs.baselines import expected_reward
from bpa.envs.cue_reward import CueReward, expected_rewards
from bpa.show import cues, widgets

pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the path (or in BPA_CHROMIUM)"),
]
FITS = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"


def cue_task(**settings):
    given = {"num_cues": 6, "episode_length": (60, 30), "pause_steps": 0, "wrong_penalty": 1.0, "seed": 3}
    return cues.play_cues(**given | settings)


def reading(frame, name):
    return frame.locator(f"#{name}").text_content()


def number(text):
    return float(text.replace("−", "-").split(" ")[0])


def scale(frame):
    """The table's rows, from the least to the most: name without what they know, and the number."""
    table = {
        row.locator("th").evaluate("th => th.firstChild.textContent.trim()"): row.locator(
            "td"
        ).last.text_content()
        for row in frame.locator("#scale tr").all()
    }
    rewards = [number(text) for text in table.values()]
    assert rewards == sorted(rewards)
    return table


def barriers(page):
    report = Axe().run(page.frames[1], context="#figure").response["violations"]
    return [rule["id"] for rule in report if rule["impact"] in ("serious", "critical")]


def bits_of(frame):
    return frame.locator("#seen").get_attribute("aria-label")


@pytest.mark.parametrize("as_letters", [False, True], ids=["bits", "letters"])
def test_a_reader_with_a_perfect_memory_plays_an_episode_by_keys(opened, as_letters):
    page, frame = opened(cue_task())
    assert scale(frame) == {"a tossed coin": "0", "always no": "6.67", "a perfect memory": "17.86"}
    if as_letters:
        frame.locator("#look").select_option("letters")
        assert reading(frame, "seen-words") == "a cue: A"
    frame.locator("#seen").focus()
    met, total, trials = set(), 0, []
    for trial in range(1, 21):
        assert reading(frame, "now") == f"{trial} / 20"
        pair = set()
        for key in ("ArrowRight", " "):
            shown = bits_of(frame)
            assert re.search("a cue: [A-F]" if as_letters else r"(?:[01] ){4}[01], ", shown)
            pair.add(shown)
            page.keyboard.press(key)
        assert reading(frame, "seen-words") == "Go: was the target one of the two?"
        page.keyboard.press("ArrowRight")  # it does not answer
        assert "Answer yes or no" in reading(frame, "message")
        assert len(pair) == 2
        met |= pair
        # Cues not met yet may be the target too: six in all.
        known = {cue for cue in met if all((cue in before) == inside for before, inside in trials)}
        unmet = 6 - len(met) if not any(inside for _, inside in trials) else 0
        answer = "y" if len(known & pair) > (len(known) + unmet) / 2 else "n"
        page.keyboard.press(answer)
        reward = number(reading(frame, "previous"))
        assert reward in (1, -1)
        trials.append((pair, (answer == "y") == (reward == 1)))
        total += reward
        assert number(reading(frame, "score")) == total
        assert f"You said {'yes' if answer == 'y' else 'no'}" in reading(frame, "message")
        if trial == 6:
            earned = expected_rewards(CueReward(6, 20, 1, 18, pause_steps=0, wrong_penalty=1.0))
            assert reading(frame, "scale-title") == "Score after 6 of 20 trials"
            table = scale(frame)
            assert number(table["a perfect memory"]) == round(earned["perfect"], 2)
            assert number(table["always no"]) == 2
            assert number(table["you, so far"]) == total
    right = round((20 + total) / 2)
    said = reading(frame, "message")
    assert f"your score is {total:g}." in said
    assert f"You had {right} of 20 answers right, and 7 of the last 7; a perfect memory had {right}" in said
    assert "from then on you were wrong 0 times" in said
    assert total >= 12
    assert number(scale(frame)["you, in this episode"]) == total
    assert frame.locator("#cards .target").count() == 1
    letter = frame.locator("#cards .target figcaption").text_content()[0]
    assert f"The target was {letter}" in said
    rows = [row.locator("td").all_text_contents() for row in frame.locator("#history tr").all()]
    assert len(rows) == 20
    assert rows[-1][-1] == letter
    for (_, inside), (_, shown, _, _, left) in zip(trials, rows, strict=True):
        assert (letter in shown.split()) == inside
        assert letter in left.split()
    assert f"After 20 trials you have {total:g}" in frame.locator("#chart").get_attribute("aria-label")
    page.keyboard.press("y")
    assert number(reading(frame, "score")) == total


def always_no(page, frame, trials):
    frame.locator("#seen").focus()
    for _ in range(trials):
        for key in ("Enter", "ArrowRight", "n"):
            page.keyboard.press(key)
    return number(reading(frame, "score"))


def test_buttons_answer_and_episodes_of_a_kind_have_a_mean(opened):
    page, frame = opened(cue_task(), 390)
    frame.locator("#length").select_option("30")
    assert reading(frame, "now") == "1 / 10"
    assert number(scale(frame)["always no"]) == 3.33
    frame.locator("#yes").tap(force=True)  # it says that it waits
    assert "count at Go alone" in reading(frame, "message")
    assert reading(frame, "time") == "0 / 30"
    frame.locator("#next").tap()
    frame.locator("#next").tap()
    frame.locator("#next").tap(force=True)
    assert reading(frame, "time") == "2 / 30"
    frame.locator("#yes").tap()
    assert "You said yes" in reading(frame, "message")
    assert reading(frame, "time") == "3 / 30"
    frame.locator("summary").last.click()
    numbers = reading(frame, "others").splitlines()
    assert numbers == ["0", "1", "0.100", reading(frame, "score").replace("−", "-"), "0", "1"]
    assert len(reading(frame, "bits").split()) == 20
    scores = []
    for _ in range(2):
        frame.locator("#again").click()
        assert reading(frame, "score") == "0"
        assert page.frames[1].evaluate("document.activeElement.id") == "seen"
        scores.append(always_no(page, frame, 10))
    assert number(scale(frame)["you, mean of 2"]) == sum(scores) / 2
    rows = [row.locator("td").all_text_contents() for row in frame.locator("#history tr").all()]
    late = sum(reward == "+1" for _, _, _, reward, _ in rows[-7:])
    assert f"and {late} of the last 7;" in reading(frame, "message")
    frame.locator("#look").select_option("letters")
    frame.locator("#again").click()
    last = always_no(page, frame, 10)
    assert not [name for name in scale(frame) if "mean" in name], "letters are another kind"
    assert number(scale(frame)["you, in this episode"]) == last


LINK = '<p style="height: 900px"><a id="{0}" href="#{1}">{0}</a></p>'


def test_a_link_calls_for_the_same_episode_of_the_cues(opened, click_link):
    links = [("seven", "cues:steps=30,episode=7"), ("wrong", "cues:steps=31")]
    page, frame = opened(cue_task(seed=None), motion="reduce", text="".join(LINK.format(*e) for e in links))
    seen = []
    for _ in range(2):
        click_link(page, "seven")
        expect(frame.locator("#time")).to_have_text("0 / 30")
        assert reading(frame, "message").startswith("Episode 7, the same for everybody. One of the cues")
        seen.append(bits_of(frame))
        page.keyboard.press("ArrowRight")  # the link gave it the keys
        expect(frame.locator("#time")).to_have_text("1 / 30")
        seen.append(bits_of(frame))
    assert seen[:2] == seen[2:]
    click_link(page, "wrong")
    expect(frame.locator("#message")).to_contain_text("This link was not followed: steps must be one of")
    assert reading(frame, "time") == "1 / 30"


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_cue_task_fits_and_has_no_barrier(opened, width, theme):
    page, frame = opened(cue_task(), width, theme)
    assert barriers(page) == []
    frame.locator("#length").select_option("30")
    always_no(page, frame, 10)
    for fold in frame.locator("summary").all():
        fold.click()
    page.wait_for_timeout(300)
    assert frame.locator("html").evaluate(FITS) == [0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert barriers(page) == []


def test_a_whole_episode_of_the_maze_by_keys_uncovers_the_map(opened):
    """On the smallest maze, with 9 free cells, a round beside the wall meets every goal."""
    live = widgets.play_maze(size=5, episode_length=(40, 20), seed=3)
    page, frame = opened(live)
    frame.locator("#board").focus()
    label = frame.locator("#board").get_attribute("aria-label")
    assert "goal" not in label
    assert (
        "You can go up, down, left, right. The corners upper left, upper right, lower left, lower right"
        in label
    )
    frame.locator("#standing summary").click()
    exact = {name: expected_reward(name, 5, 40) for name in ("random", "straight", "ideal", "oracle")}
    names = ("random walker", "straight walker", "ideal agent", "oracle")
    assert [number(scale(frame)[name]) for name in names] == [round(each, 2) for each in exact.values()]
    first, count = None, 0
    turns = ("Up", "Left", "Down", "Down", "Right", "Right", "Up", "Up")
    keys = [f"Arrow{turn}" for turn in turns * 5]
    for step, key in enumerate(keys, 1):
        page.keyboard.press(key)
        assert reading(frame, "action") == key.removeprefix("Arrow").lower()
        if reading(frame, "previous") == "10":
            count, first = count + 1, first or step
            assert reading(frame, "message").startswith("Reward 10!") or step == 40
    assert count > 1, "the score must grow"
    assert frame.locator("button[data-action='0']").is_disabled()
    page.keyboard.press("ArrowUp")
    assert reading(frame, "time") == "40 / 40"
    assert reading(frame, "score") == str(10 * count)
    said = reading(frame, "message")
    assert f"you scored {10 * count} in 40 steps. You first reached the goal at step {first}" in said
    assert f"and {count - 1} time" in said
    place = re.search(r"It was at (row \d, column \d)", said).group(1)
    label = frame.locator("#board").get_attribute("aria-label")
    assert f"the goal is at {place}." in label
    assert reading(frame, "board-words").startswith("The whole maze.")
    assert number(scale(frame)["you, in this episode"]) == 10 * count
    assert page.evaluate("scrollY") == 0
    # Again, with the map: an episode of another kind, whose mean stands apart.
    frame.locator("#new").click()
    assert "goal" not in frame.locator("#board").get_attribute("aria-label")
    assert page.frames[1].evaluate("document.activeElement.id") == "board"
    frame.locator("#view").select_option("map")
    assert "goal" in frame.locator("#board").get_attribute("aria-label")
    frame.locator("#view").select_option("sensed")
    frame.locator("#board").focus()
    for key in keys:
        page.keyboard.press(key)
    assert not [name for name in scale(frame) if "mean" in name]
    frame.locator("#new").click()
    for key in keys:
        page.keyboard.press(key)
    assert [name for name in scale(frame) if "mean" in name] == ["you, mean of 2"]
    frame.locator("#length").select_option("20")
    assert reading(frame, "time") == "0 / 20"
    assert number(scale(frame)["oracle"]) == round(expected_reward("oracle", 5, 20), 2)


SWIPE = """([board, [right, down], x, y]) => {
  const box = board.getBoundingClientRect();
  const at = [box.left + x * box.width, box.top + y * box.height];
  const event = (type, dx, dy) => board.dispatchEvent(new PointerEvent(type, {
    pointerType: "touch", isPrimary: true, bubbles: true, clientX: at[0] + dx, clientY: at[1] + dy,
  }));
  event("pointerdown", 0, 0);
  event("pointerup", right, down);
}"""


def test_a_finger_swipes_and_taps_through_the_maze(opened):
    page, frame = opened(widgets.play_maze(seed=1), 390)
    board = frame.locator("#board")
    handle = board.element_handle()
    frame_handle = page.frames[1]

    def swipe(right, down, x=0.5, y=0.5):
        frame_handle.evaluate(SWIPE, [handle, [right, down], x, y])
        return reading(frame, "action"), reading(frame, "time")

    assert swipe(5, -60) == ("up", "1 / 200")
    assert swipe(-60, 10) == ("left", "2 / 200")
    assert swipe(60, -20) == ("right", "3 / 200")
    assert swipe(0, 60) == ("down", "4 / 200")
    assert swipe(3, 3, x=0.9)[0] == "right"
    assert swipe(0, 0, y=0.1)[0] == "up"
    assert swipe(0, 0) == ("up", "6 / 200")  # on the agent itself
    box = board.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 0.9 * box["height"])
    assert (reading(frame, "action"), reading(frame, "time")) == ("down", "7 / 200")
    board.click(position={"x": 10, "y": 100})  # the mouse only gives it the keys
    assert reading(frame, "time") == "7 / 200"
    assert board.evaluate("e => getComputedStyle(e).touchAction") == "none"


def test_links_choose_an_episode_of_the_maze_and_open_the_scale(opened, click_link):
    links = [
        ("short", "maze:steps=50,episode=7"),
        ("scale", "maze:scale=open"),
        ("wrong", "maze:episode=100"),
    ]
    live = widgets.play_maze(episode_length=(200, 50), agent="maze-11")
    page, frame = opened(live, motion="reduce", text="".join(LINK.format(*each) for each in links))
    ended = []
    for _ in range(2):
        click_link(page, "short")
        expect(frame.locator("#time")).to_have_text("0 / 50")
        assert reading(frame, "message").startswith("Episode 7, the same for everybody. Somewhere in")
        for key in ("ArrowUp", "ArrowLeft", "ArrowDown", "ArrowLeft", "ArrowRight") * 10:
            page.keyboard.press(key)
        ended.append(frame.locator("#board").get_attribute("aria-label"))
    assert ended[0] == ended[1]
    assert not frame.locator("#standing").evaluate("e => e.open")
    click_link(page, "scale")
    expect(frame.locator("#scale")).to_be_visible()
    assert reading(frame, "time") == "50 / 50"  # it begins no other episode
    table = scale(frame)
    assert number(table["ideal agent"]) == round(expected_reward("ideal", 11, 50), 2)
    assert number(table["random walker"]) < number(table["trained agent"]) < number(table["ideal agent"])
    assert "±" in table["trained agent"]
    click_link(page, "wrong")
    expect(frame.locator("#message")).to_contain_text("This link was not followed: episode must be one of")


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (390, "light")])
def test_the_maze_fits_and_has_no_barrier_when_it_is_uncovered(opened, width, theme):
    page, frame = opened(widgets.play_maze(episode_length=50, agent="maze-11", seed=1), width, theme)
    frame.locator("#board").focus()
    for _ in range(50):
        page.keyboard.press("ArrowUp")
    for fold in frame.locator("summary").all():
        fold.click()
    page.wait_for_timeout(300)
    assert frame.locator("html").evaluate(FITS) == [0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert barriers(page) == []
