"""Chooses among the networks of a figure in a real browser, and takes one trained there to the laboratory."""

import re
from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from javascript import CHROMIUM
from playwright.sync_api import expect
from test_lab import agent

from bpa import LSTM, data, load
from bpa.envs.baselines import expected_reward
from bpa.experiments.decode import load_goal_decoder
from bpa.show import widgets
from bpa.show.learner import SMALL, learner_laboratory, train_in_page

pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is on the path (or in BPA_CHROMIUM) to play the live figures"
    ),
]
AGES = ("1", "100", "2,000")


def reading(frame, name):
    return frame.locator(f"#{name}").text_content()


def seen(frame):
    """What one network did in the episode."""
    picture = frame.locator("#maze").evaluate("canvas => canvas.toDataURL()")
    return [reading(frame, name) for name in ("time", "score", "gaps", "hebb-size")] + [picture]


def live(page, until, frame=1):
    page.frames[frame].evaluate(f"while (lab.time < {until}) act(); draw()")


def aged():
    """Networks that differ: the older, the less noisy its actions."""
    nets = {}
    for age, scale in zip(AGES, (0.1, 1, 5), strict=True):
        net = agent(plasticity="simple")
        with torch.no_grad():
            net.h2o.weight.mul_(scale)
        nets[age] = net
    return widgets.watch_agent(
        nets, size=7, episode_length=60, seed=1, legend="Iterations", slider=True, chosen=AGES[-1]
    )


def test_the_slider_over_ages_keeps_the_episode(opened):
    page, frame = opened(aged())
    slider = frame.get_by_role("slider", name="Iterations")
    assert slider.get_attribute("aria-valuetext") == reading(frame, "choice-slider-value") == "2,000"
    assert frame.locator("#choice").is_hidden()
    live(page, 60)
    noise = page.frames[1].evaluate("[lab.seed, maze.goal]")
    at_age = {"2,000": seen(frame)}
    slider.focus()
    for age in ("100", "1"):
        page.keyboard.press("ArrowLeft")
        assert slider.get_attribute("aria-valuetext") == age
        assert reading(frame, "message") == f"{age}: the same episode, up to step 60."
        at_age[age] = seen(frame)
        assert page.frames[1].evaluate("[lab.seed, maze.goal]") == noise
    assert len({tuple(each) for each in at_age.values()}) == 3
    assert {each[0] for each in at_age.values()} == {"60 / 60"}
    for age in ("100", "2,000"):
        page.keyboard.press("ArrowRight")
        assert seen(frame) == at_age[age], "the same network lives the same episode again"
    rows = frame.locator("#compared-rows tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [[age, f"{at_age[age][1]} (1)"] for age in AGES]


def kinds(theme="light"):
    nets = {name: agent(plasticity=name) for name in ("none", "plastic", "simple")}
    return widgets.watch_agent(
        nets | {"LSTM": agent(LSTM)}, size=7, episode_length=60, seed=1, chosen="simple"
    )


def off(frame):
    """The controls that are shown and do nothing."""
    return set(
        frame.locator("html").evaluate(
            """html => [...html.querySelectorAll("[disabled]")]
            .filter((each) => !each.closest("[hidden]")).map((each) => each.id || each.value)"""
        )
    )


def test_levers_of_what_a_network_has_not_are_off_and_the_figure_says_why(opened):
    page, frame = opened(kinds())
    frame.locator("#laboratory summary").click()
    assert off(frame) == {"back", "repeat"}, "nothing to undo, nothing to do again"
    frame.locator("#wipe-h").click()
    assert frame.locator("#lacks").is_hidden()
    for name, lack, rest in [
        ("plastic", "no modulator: what needs it is", {"forced"}),
        (
            "LSTM",
            "no traces and no modulator: what needs them is",
            {"forced", "traces", "frozen", "wipe-hebb", "hebb"},
        ),
        (
            "none",
            "no traces and no modulator: what needs them is",
            {"forced", "traces", "frozen", "wipe-hebb", "hebb"},
        ),
    ]:
        frame.get_by_label(name, exact=True).check()
        assert off(frame) == rest | {"back"}
        assert reading(frame, "lacks") == f"This network has {lack} switched off."
        assert frame.locator("#forced").get_attribute("aria-describedby") == "lacks"
        assert frame.locator("#hebb").is_visible() == (name == "plastic")
        assert frame.locator("#modulation").is_hidden()
    assert frame.locator("#gift").input_value() == "h"
    live(page, 30)
    frame.locator("#give").click()
    assert "the activity of an agent with another goal" in reading(frame, "message")
    frame.get_by_label("simple", exact=True).check()
    assert off(frame) == set()
    assert frame.locator("#forced").get_attribute("aria-describedby") is None
    assert frame.locator("#lacks").is_hidden()
    assert frame.locator("#modulation").is_visible()


def test_what_was_done_is_done_to_the_next_network_too_and_a_lever_waits_where_it_cannot_act(opened):
    page, frame = opened(kinds())
    frame.locator("#laboratory summary").click()
    frame.locator("#traces").uncheck()
    live(page, 60)
    silenced = seen(frame)
    assert frame.locator("#compared-rows tr:nth-child(3) td").all_inner_texts()[1] == f"{silenced[1]} (1)"
    frame.get_by_label("LSTM", exact=True).check()
    cells = frame.locator("#compared-rows tr:nth-child(4) td").all_inner_texts()
    assert cells[:3] == [f"{reading(frame, 'score')} (1)", "has none", "none yet"], (
        "it is left alone: it has no traces"
    )
    assert frame.locator("#traces").is_disabled()
    assert reading(frame, "twin-score") == reading(frame, "score")
    frame.get_by_label("simple", exact=True).check()
    assert not frame.locator("#traces").is_checked()
    assert seen(frame) == silenced


def test_a_goal_that_cannot_be_put_where_another_network_stands_begins_the_episode_anew(opened):
    page, frame = opened(kinds())
    time = page.frames[1].evaluate("""() => {
      const other = new Laboratory(data.maze, networks.all[0].settings, networks.all[0].parameters);
      other.begin(lab.seed);
      for (;;) { // to a step at which that cell is free for this one
        act();
        other.step();
        const index = maze.indexOf(other.subject.maze.agent);
        if (!maze.mayPut("goal", index)) continue;
        operate("goal", index);
        return lab.time;
      }
    }""")
    live(page, time + 5)
    assert reading(frame, "time") == f"{time + 5} / 60"
    frame.get_by_label("none", exact=True).check()
    assert reading(frame, "time") == "0 / 60"
    assert reading(frame, "message").startswith(
        "none: the same episode from its first step, since goal cannot be put"
    )
    assert reading(frame, "sought") == "no"


def test_the_same_episodes_are_run_with_each_and_the_reader_is_back_where_he_was(opened):
    page, frame = opened(kinds())
    live(page, 25)
    before = seen(frame)
    frame.locator("#each").click()
    expect(frame.locator("#message")).to_have_text("80 episodes.", timeout=30_000)
    assert seen(frame) == before
    assert frame.get_by_label("simple", exact=True).is_checked()
    assert reading(frame, "each") == "Run 20 episodes of each"
    cells = [row.split("\t")[1] for row in frame.locator("#compared-rows tr").all_inner_texts()]
    assert all(re.fullmatch(r"\d+ ± \d+ \(20\)", cell) for cell in cells)
    ideal = expected_reward("ideal", 7, 60)
    shares = [row.split("\t")[4] for row in frame.locator("#compared-rows tr").all_inner_texts()]
    for cell, share in zip(cells, shares, strict=True):
        assert float(share.removesuffix(" %")) == pytest.approx(100 * int(cell.split()[0]) / ideal, abs=1)
    seeds = page.frames[1].evaluate(
        "networks.all.map(({ tally }) => [...tally.with.keys()].map((key) => JSON.parse(key)[0]))"
    )
    assert seeds == [seeds[0]] * 4
    assert len(set(seeds[0])) == 20
    frame.locator("#traces").uncheck()
    press = "(ids) => ids.forEach((id) => element(id).click())"  # at once, before the last episode is over
    page.frames[1].evaluate(press, ["each", "each"])  # stopped
    assert reading(frame, "each") == "Run 20 episodes of each"
    assert seen(frame)[0] == before[0]
    page.frames[1].evaluate(press, ["each", "step"])  # anything else stops it too
    assert reading(frame, "time") == "26 / 60"
    done = page.frames[1].evaluate("networks.all.map(({ tally }) => tally.without.size)")
    page.wait_for_timeout(200)
    assert page.frames[1].evaluate("networks.all.map(({ tally }) => tally.without.size)") == done
    frame.locator("#each").click()
    expect(frame.locator("#message")).to_have_text("80 episodes.", timeout=30_000)
    assert page.frames[1].evaluate("networks.all.map(({ tally }) => tally.without.size >= 20)") == [
        False, True, True, False,
    ]  # fmt: skip


def test_what_was_done_is_told_and_done_again_in_the_same_episodes_of_each(opened):
    page, frame = opened(kinds())
    figure = page.frames[1]
    frame.locator("#laboratory summary").click()
    live(page, 30)
    assert reading(frame, "done") == "nothing"
    frame.locator("#wipe-hebb").click()
    live(page, 40)
    frame.locator("#forced").select_option("0")
    live(page, 60)
    told = reading(frame, "done")
    early = figure.evaluate("subject.rewardSteps.filter((step) => step <= 30).length")
    late = figure.evaluate("subject.rewardSteps.length") - early
    words = "step 30: traces wiped; step 40: M(t) always 0"
    plural = "" if early == 1 else "s"
    assert told == f"{words}; {early} reward{plural} until then, {late} in the 30 steps since"
    frame.get_by_label("plastic", exact=True).check()
    assert reading(frame, "done").startswith("step 30: traces wiped; "), "it has no modulator"
    frame.get_by_label("none", exact=True).check()
    assert reading(frame, "done") == "nothing that acts on this network"
    frame.get_by_label("simple", exact=True).check()
    before = seen(frame)
    frame.locator("#repeat").click()
    expect(frame.locator("#message")).to_have_text("80 episodes.", timeout=30_000)
    assert seen(frame) == before, "its reader is back in his episode"
    assert reading(frame, "done") == told
    lived = figure.evaluate("""networks.all.map(({ tally }) => ["with", "operated"].map((kind) =>
        [...tally[kind].keys()].map((key) => JSON.parse(key)).filter(([seed]) => seed !== lab.seed)))""")
    felt = {1: [[30, "wipe", "hebb"]], 2: [[30, "wipe", "hebb"], [40, "forced", 0]]}
    for k, (alone, operated) in enumerate(lived):
        assert (len(alone), len(operated)) == ((0, 20) if k in felt else (20, 0))
        assert all(deeds == felt.get(k, []) for _, deeds in alone + operated)
        assert {seed for seed, _ in alone + operated} == {seed for seed, _ in lived[0][0]}
    cells = [row.split("\t")[3] for row in frame.locator("#compared-rows tr").all_inner_texts()]
    assert [cell.endswith("(21)") for cell in cells] == [False, True, True, False]
    frame.locator("#again").click()
    frame.locator("#wipe-h").click()
    cells = [row.split("\t")[3] for row in frame.locator("#compared-rows tr").all_inner_texts()]
    assert cells == ["none yet"] * 4, "another operation, a count of its own"


def test_a_belief_is_shown_of_the_network_that_its_decoder_was_fitted_to_alone(opened):
    nets = {"11": load("maze-11"), "9": load("maze-9")}
    page, frame = opened(widgets.watch_agent(nets, seed=7, decoder={"11": load_goal_decoder("maze-11")}))
    live(page, 60)
    assert "cells from the goal" in reading(frame, "thought")
    assert frame.locator("#thought").is_visible()
    frame.get_by_label("9", exact=True).check()
    assert frame.locator("#thought").is_hidden()
    assert frame.locator("#belief").is_disabled()
    assert (
        reading(frame, "lacks")
        == "This network has no decoder that was fitted to it: what needs it is switched off."
    )
    frame.get_by_label("11", exact=True).check()
    assert frame.locator("#thought").is_visible()


class Both:
    """A learner and its laboratory on one page."""

    def __init__(self, **changes):
        config = SMALL.replace(batch_size=4, iterations=30, **changes)
        self.figures = train_in_page(config, laboratory=True), learner_laboratory(config)

    def _repr_html_(self):
        return "".join(figure._repr_html_() for figure in self.figures)


def frames_of(page):
    return [page.frame_locator(f"iframe >> nth={k}") for k in (0, 1)]


def test_a_network_that_was_trained_in_the_page_is_taken_to_its_laboratory(opened):
    page, _ = opened(Both())
    learner, lab = frames_of(page)
    expect(learner.locator("#hand")).to_be_enabled()
    assert lab.locator("#choice input").count() == 1
    assert lab.locator("#each").is_hidden()
    live(page, 100, frame=2)
    untrained = seen(lab)
    learner.locator("#variant").select_option(label="plastic, Hebb's rule")
    learner.locator("#run").click()
    expect(learner.locator("#run")).to_be_disabled(timeout=60_000)
    learner.locator("#hand").click()
    expect(learner.locator("#message")).to_have_text("A copy of it is in the laboratory.")
    name = "plastic, Hebb's rule, 30 iterations, seed 0"
    expect(lab.get_by_label(name, exact=True)).to_be_checked()
    assert reading(lab, "time") == "100 / 100"
    assert seen(lab) != untrained
    assert page.evaluate("document.activeElement.dataset.name") == "laboratory"
    sent, come = (
        page.frames[1].evaluate(
            "Object.fromEntries(Object.entries(parameters).map(([k, v]) => [k, [...v]]))"
        ),
        page.frames[2].evaluate(
            "Object.fromEntries(Object.entries(network.parameters).map(([k, v]) => [k, [...v]]))"
        ),
    )
    assert sent == come
    assert lab.locator("#forced").is_disabled()
    learner.locator("#rate").select_option("0.001")
    learner.locator("#reset").click()
    expect(learner.locator("#hand")).to_be_enabled()
    learner.locator("#hand").click()
    expect(lab.get_by_label("plastic, Hebb's rule, 0 iterations, seed 0, rate 0.001")).to_be_checked()
    lab.locator("#each").click()
    expect(lab.locator("#message")).to_have_text("60 episodes.", timeout=60_000)
    lab.get_by_label("untrained").check()
    assert seen(lab) == untrained


def test_a_laboratory_of_another_maze_and_a_page_without_one_say_so(opened):
    both = Both()
    both.figures = both.figures[0], learner_laboratory(SMALL.replace(size=9))
    page, _ = opened(both)
    learner, lab = frames_of(page)
    expect(learner.locator("#hand")).to_be_enabled()
    learner.locator("#hand").click()
    expect(learner.locator("#message")).to_have_text(
        "The laboratory does not take it: size of the maze must be 9, got 7."
    )
    assert lab.locator("#choice input").count() == 1
    both.figures = both.figures[:1]
    page, frame = opened(both)
    expect(frame.locator("#hand")).to_be_enabled()
    frame.locator("#hand").click()
    expect(frame.locator("#message")).to_have_text(
        "The laboratory does not take it: there is none on this page."
    )


def test_only_the_page_hands_over_and_only_to_a_laboratory(opened):
    page, _ = opened(Both())
    learner, lab = frames_of(page)
    expect(learner.locator("#hand")).to_be_enabled()
    message = "{ bpaNetwork: { name: nameOf(), maze: data.maze, settings: variant.network, parameters } }"
    page.frames[1].evaluate(f"parent.frames[1].postMessage({message}, '*')")  # past the page
    page.wait_for_timeout(200)
    assert lab.locator("#choice input").count() == 1
    page.frames[1].evaluate("parent.postMessage({ bpaNetwork: 'mine' }, '*')")
    expect(learner.locator("#message")).to_have_text(
        "The laboratory does not take it: what arrives must be an object."
    )
    assert lab.locator("#choice input").count() == 1
    assert not widgets.watch_agent(load("maze-9")).data["receives"]


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark"), (390, "light"), (1280, "dark")])
@pytest.mark.parametrize("make", [aged, kinds])
def test_several_networks_fit_and_have_no_barrier(opened, width, theme, make):
    page, frame = opened(make(), width, theme)
    frame.locator("#laboratory summary").click()
    frame.locator("#each").click()
    expect(frame.locator("#message")).to_have_text(re.compile(r"^\d+ episodes\.$"), timeout=30_000)
    if make is kinds:
        frame.get_by_label("LSTM", exact=True).check()
    page.wait_for_timeout(200)
    assert frame.locator("html").evaluate(
        "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
    ) == [0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    report = Axe().run(page.frames[1], context="#figure").response["violations"]
    assert [(rule["id"], rule["nodes"]) for rule in report] == []


def test_a_link_names_the_network_and_one_that_was_handed_over_has_none(opened):
    page, frame = opened(kinds())
    frame.locator("#laboratory summary").click()
    live(page, 10)
    frame.get_by_label("plastic", exact=True).check()
    frame.locator("#link").click()
    link = page.evaluate("location.hash")
    assert re.fullmatch(r"#agent:\d+-10-n1", link)
    plastic = seen(frame)
    frame.locator("#new").click()
    frame.get_by_label("LSTM", exact=True).check()
    page.evaluate("location.hash = ''")
    page.evaluate(f"location.hash = '{link}'")
    expect(frame.get_by_label("plastic", exact=True)).to_be_checked()
    assert seen(frame) == plastic
    page.evaluate(f"location.hash = '{link.replace('n1', 'n4')}'")
    expect(frame.locator("#message")).to_have_text(
        "The link does not work here: it is none of this figure's."
    )
    page, _ = opened(train_in_page(SMALL, laboratory=True), text=learner_laboratory()._repr_html_())
    lab, learner = frames_of(page)
    expect(learner.locator("#hand")).to_be_enabled()
    learner.locator("#hand").click()
    lab.locator("#laboratory summary").click()
    lab.locator("#link").click()
    assert reading(lab, "message") == "No link can hold this network: it was trained in this page."
    assert lab.locator("#address").is_hidden()
    lab.get_by_label("untrained").check()
    lab.locator("#link").click()
    assert re.fullmatch(r"#laboratory:\d+-0", page.evaluate("location.hash"))


def test_links_of_chapter_12_wipe_and_transplant_the_activity_of_five_networks(opened, click_link):
    """Those without traces keep their goal in their activity; the others do not."""
    chapter = (Path(__file__).parents[2] / "book/chapters/12_inside_the_agent.ipynb").read_text(
        encoding="utf-8"
    )
    links = re.findall(r'href=\\"(#variants:[\w-]+)\\"', chapter)
    assert [link.split("_", 1)[1] for link in links] == ["wipe_h", "give_hdonor"]
    kinds = ("none", "plastic", "simple", "retroactive", "lstm")  # in the chapter's order
    nets = {kind: load(data.path("maze") / "weights" / f"{kind}.safetensors") for kind in kinds}
    text = "".join(f'<p><a id="link{k}" href="{link}">one</a></p>' for k, link in enumerate(links))
    page, frame = opened(widgets.watch_agent(nets, name="variants"), text=text)
    shares, visits = [], []
    for k in range(2):
        click_link(page, f"link{k}")
        assert frame.get_by_label("lstm", exact=True).is_checked()
        assert reading(frame, "time") == "200 / 200"
        lived = frame.locator("#compared-rows tr:nth-child(5) td").all_inner_texts()
        assert lived[2].endswith(" (1)"), "it counts, by whatever way it was lived, and every operation apart"
        for kind in kinds:
            frame.get_by_label(kind, exact=True).check()
            after = "subject.rewardSteps.filter((step) => step > 100).length"
            mine, left_alone = page.frames[1].evaluate(
                f"[{after}, {after.replace('subject', 'lab.leftAlone()')}]"
            )
            shares.append(mine / left_alone)
            if k == 1:
                visits.append(int(re.search(r"(\d+) times? since", reading(frame, "foreign"))[1]))
    for lost in (shares[:5], shares[5:]):
        assert max(lost[0], lost[4]) < 0.5 < 0.8 < min(lost[1:4])
    assert min(visits[0], visits[4]) > 3 > max(visits[1:4])
