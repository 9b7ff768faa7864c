import base64
import html.parser
import io
import itertools
import os
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from bpa import GridMaze, TrainConfig, train
from bpa.show import plots
from bpa.show.svg import INK

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _clean():
    with plt.style.context(plots.STYLES):
        yield
    plt.close("all")


@pytest.fixture
def axes():
    return plt.subplots()[1]


class Elements(html.parser.HTMLParser):
    """Start tags with their attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_a_shown_figure_has_alt_text_and_caption_and_is_closed(axes):
    picture = plots.show(axes.figure, alt='A "line" <up>', caption="See a < b & c.")
    assert plt.get_fignums() == []
    elements = Elements(picture._repr_html_())
    tags = [tag for tag, _ in elements.tags]
    assert tags[:3] + tags[-1:] == ["figure", "div", "svg", "figcaption"]
    drawing = elements.tags[2][1]
    assert (drawing["role"], drawing["aria-label"]) == ("img", 'A "line" <up>')
    assert elements.text == "See a < b & c."
    assert 'A "line"' in repr(picture)


def test_without_a_caption_there_is_none(axes):
    assert "figcaption" not in plots.show(axes.figure, alt="x")._repr_html_()


def test_the_same_figure_gives_the_same_bytes():
    pages = []
    for _ in range(2):
        figure, axes = plt.subplots()
        plots.draw_learning_curves(axes, {"a": [1, 2, 3]})
        pages.append(plots.show(figure, alt="x")._repr_html_())
    assert pages[0] == pages[1]


def test_a_figure_too_large_for_the_page_is_a_picture_on_a_card(axes, monkeypatch):
    monkeypatch.setattr(plots, "LARGEST", 1000)
    elements = Elements(plots.show(axes.figure, alt='A "line" <up>', caption="See a < b & c.")._repr_html_())
    assert [tag for tag, _ in elements.tags] == ["figure", "div", "img", "figcaption"]
    image = elements.tags[2][1]
    assert image["alt"] == 'A "line" <up>'
    assert image["src"].startswith("data:image/png;base64,iVBOR")
    pixels = plt.imread(io.BytesIO(base64.b64decode(image["src"].partition(",")[2])))
    assert (pixels[0] == 1).all(), "white, and not transparent"


@pytest.mark.parametrize(
    ("inches", "points", "least"),
    [
        (6.4, 7, "min-width: 480px"),  # smaller letters than they should be: as little as any figure
        (6.4, 10, "min-width: 415px"),  # 13.3 pixels high, and 9 on a phone
        (4.5, 7, "min-width: 417px"),
        (4.5, 10, None),  # 292 pixels would do
        (6.4, 16, None),
        (6.4, None, None),  # without a letter
        (3.0, 7, None),
    ],
)
def test_a_wide_figure_scrolls_on_a_phone_rather_than_shrink_its_letters(inches, points, least):
    figure, axes = plt.subplots(figsize=(inches, 2))
    axes.tick_params(labelsize=4)
    axes.set_xlabel("hidden", fontsize=3)
    axes.set_axis_off()  # what is not drawn need not be read
    axes.text(0.5, 0.5, " ", fontsize=2)
    if points is not None:
        axes.set_title("large", fontsize=30)
        axes.text(0.5, 0.5, "small", fontsize=points)
    page = plots.show(figure, alt="x")._repr_html_()
    assert f"width: {inches * 96:.0f}px; max-width: 100%" in page
    assert ("min-width" in page) == ("tabindex" in page) == (least is not None)
    assert least is None or least in page


def test_a_picture_is_opaque_and_light():
    """So that dark lines on it can be read on a dark page too."""
    figure, _ = plt.subplots()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    pixels = plt.imread(buffer)
    assert pixels.shape[-1] == 3 or (pixels[..., 3] == 1).all()
    assert (pixels[:5, :5, :3] == 1).all()


def lightness(color):
    """Relative luminance, as the contrast rules of the web define it."""
    channels = np.array(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one, other):
    """Of two colours, from 1 to 21, as the contrast rules of the web define it."""
    low, high = sorted(lightness(color) + 0.05 for color in (one, other))
    return high / low


# The book's ground, light and dark, what other books of its kind have, and JupyterLab's dark.
@pytest.mark.parametrize("ground", ["#ffffff", "#121212", "#14181e", "#111111"])
@pytest.mark.parametrize("name", plots.COLORS)
def test_every_colour_can_be_seen_on_a_light_and_on_a_dark_page(name, ground):
    if name == "black":
        assert plots.COLORS[name] == INK, "which becomes the ink of the page"
    else:
        assert contrast(plots.COLORS[name], ground) >= 3


# Machado, Oliveira and Fernandes 2009, of linear light: red, green and blue cones missing.
SEEN = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def perceived(color, eye):
    """A colour as CIE L*a*b*, as this eye sees it."""
    channels = np.array(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(to_xyz @ np.clip(SEEN[eye] @ linear, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", SEEN)
def test_no_two_colours_look_alike_to_any_eye(eye):
    """At least as far apart as the nearest two of Okabe and Ito's, 16."""
    seen = [perceived(color, eye) for color in plots.COLORS.values()]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(distances) > 16


@pytest.mark.parametrize("name", [plots.TIME_MAP, plots.SIGNED_MAP])
def test_a_colour_map_keeps_its_order_in_grey(name):
    steps = [lightness(color) for color in matplotlib.colormaps[name](np.linspace(0, 1, 64))[:, :3]]
    assert (np.diff(steps) > 0).all()


def test_every_colour_has_a_line_style_of_its_own():
    cycle = list(plots.STYLE["axes.prop_cycle"])
    assert len({str(entry["linestyle"]) for entry in cycle}) == len(cycle) == len(plots.COLORS)


def walked(seed, T=200, size=11):
    generator = torch.Generator().manual_seed(seed)
    maze = GridMaze(size, 1, T, generator=generator)
    maze.reset()
    cells, rewards = [maze.agent[0]], []
    for _ in range(T):
        _, reward, _ = maze.step(torch.randint(4, (1,), generator=generator))
        cells.append(maze.agent[0])
        rewards.append(reward[0])
    return maze, torch.stack(cells), torch.stack(rewards), maze.goal[0]


@pytest.mark.parametrize("seed", range(6))
def test_a_path_is_drawn_step_by_step_and_no_teleport_is_a_step(axes, seed):
    maze, cells, rewards, goal = walked(seed)
    lines = plots.draw_path(axes, maze.walls, cells, rewards, goal)
    segments = np.array(lines.get_segments())[:, :, ::-1]  # as (row, column)
    assert len(segments) == 200
    assert lines.get_array().tolist() == list(range(200))
    begins, ends = segments[:, 0], segments[:, 1]
    assert (np.abs(begins - cells[:-1].numpy()) < 0.5).all()  # within the cell
    found = rewards.numpy() > 0
    assert np.allclose(ends[found], goal.numpy())
    assert (np.abs(ends - cells[1:].numpy())[~found] < 0.5).all()
    assert (np.abs(ends - begins).max(1) < 1.6).all()  # nothing flies through the maze


def test_some_walk_above_meets_its_goal():
    assert any((walked(seed)[2] > 0).any() for seed in range(6))


def test_a_part_of_a_path_keeps_the_colours_of_the_whole(axes):
    maze, cells, rewards, goal = walked(0)
    whole = plots.draw_path(axes, maze.walls, cells, rewards, goal)
    part = plots.draw_path(plt.figure().gca(), maze.walls, cells[:51], rewards[:50], goal, total_steps=200)
    assert np.array_equal(part.to_rgba(part.get_array()), whole.to_rgba(whole.get_array())[:50])


def test_a_maze_shows_its_walls(axes):
    maze = GridMaze(7)
    plots.draw_maze(axes, maze.walls, goal=(1, 2), agent=(3, 3))
    pixels = axes.images[0].get_array()
    assert np.array_equal(pixels[..., 0] < 0.5, maze.walls.numpy())
    places = [tuple(dots.get_offsets()[0]) for dots in axes.collections]
    assert places == [(2, 1), (3, 3)]  # x is the column


def test_a_trace_has_zero_in_the_middle_of_its_colours(axes):
    image = plots.draw_trace(axes, torch.tensor([[0.0, -3.0], [1.0, 0.5]]))
    assert image.get_clim() == (-3, 3)
    assert plots.draw_trace(axes, torch.zeros(3, 3)).get_clim() == (-1, 1)
    assert plots.draw_trace(axes, torch.ones(3, 3), limit=2).get_clim() == (-2, 2)


def test_modulation_marks_every_reward_one_step_after_its_index(axes):
    rewards = np.zeros(20)
    rewards[[0, 7, 19]] = 10
    rewards[3] = -0.1
    plots.draw_modulation(axes, np.linspace(-1, 1, 20), rewards)
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert marks == [1, 8, 20]
    assert axes.lines[0].get_xdata()[0] == 1


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.integers(1, 50))
def test_a_moving_average_is_a_mean_of_the_last_values(values, window):
    expected = [np.mean(values[max(0, k + 1 - window) : k + 1]) for k in range(len(values))]
    np.testing.assert_allclose(plots.moving_average(values, window), expected, atol=1e-8)


@pytest.mark.parametrize("exploded", [1e30, -1e300, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize(("length", "window"), [(40, 5), (6, 10), (30, 1)])
@pytest.mark.parametrize("place", [0, 3])
def test_one_exploded_value_spoils_its_window_and_no_more(exploded, length, window, place):
    values = np.sin(np.arange(length))
    with_it = values.copy()
    with_it[place] = exploded
    runs = plots.moving_average(np.stack([values, with_it]), window)
    means = [np.mean(values[max(0, k + 1 - window) : k + 1]) for k in range(length)]
    np.testing.assert_allclose(runs[0], means)
    outside = np.r_[0:place, place + window : length]
    np.testing.assert_allclose(runs[1, outside], np.array(means)[outside])
    inside = runs[1, place : place + window]
    assert not (np.abs(inside) < 1e28).any()


def test_a_curve_that_explodes_is_drawn_where_it_can_be(axes, recwarn):
    runs = np.ones((3, 40))
    runs[0, 3], runs[1, 20], runs[2, 20] = np.inf, np.nan, -np.inf
    runs[1, 22] = -np.inf
    runs[1, 21] = np.inf
    plots.draw_learning_curves(axes, {"many": runs, "one": runs[1]}, window=4)
    axes.figure.canvas.draw()
    assert (axes.lines[0].get_ydata()[[10, 39]] == 1).all()
    assert axes.lines[1].get_ydata()[39] == 1
    assert not recwarn.list


def test_curves_of_several_runs_are_median_and_quartiles(axes):
    runs = np.random.default_rng(0).normal(size=(7, 30))
    plots.draw_learning_curves(axes, {"many": runs, "one": runs[0]}, window=5)
    many, one, raw = axes.lines
    smooth = plots.moving_average(runs, 5)
    np.testing.assert_allclose(many.get_ydata(), np.median(smooth, axis=0))
    np.testing.assert_allclose(one.get_ydata(), smooth[0])
    np.testing.assert_allclose(raw.get_ydata(), runs[0])
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert np.isclose(heights.max(), np.quantile(smooth, 0.75, axis=0).max())
    assert np.isclose(heights.min(), np.quantile(smooth, 0.25, axis=0).min())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["many", "one"]


WALLS = GridMaze(5).walls


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda axes: plots.show(axes.figure, alt=" "), "alt must be text"),
        (lambda axes: plots.show(axes, alt="x"), "figure must be a matplotlib Figure, got Axes"),
        (lambda axes: plots.draw_maze(axes, WALLS.float()), r"walls must be bool \[n, n\], got float32"),
        (lambda axes: plots.draw_maze(axes, WALLS[:3]), r"got bool \[3, 5\]"),
        (lambda axes: plots.draw_maze(axes, WALLS, goal=(1, 5)), "goal must hold .* from 0 to 4"),
        (lambda axes: plots.draw_maze(axes, WALLS, agent=(1.5, 2)), "agent must hold"),
        (
            lambda axes: plots.draw_path(axes, WALLS, [(1, 1), (1, 2)], [0.0, 0.0], (3, 3)),
            r"rewards must have one number a step, \[1\] for 2 cells, got \[2\]",
        ),
        (lambda axes: plots.draw_trace(axes, [1, 2]), "trace must be a matrix"),
        (lambda axes: plots.draw_trace(axes, [[1]], limit=0), "limit must be"),
        (lambda axes: plots.draw_modulation(axes, [[1]]), r"modulation must be \[T\]"),
        (lambda axes: plots.draw_learning_curves(axes, {"a": []}), r"curves\['a'\] must be"),
        (lambda axes: plots.draw_learning_curves(axes, {"a": [1]}, window=0), "window must be"),
    ],
)
def test_bad_input_is_refused(axes, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(axes)


# What people have in their matplotlibrc for a paper, a dark desktop or another program.
FOREIGN = {
    "text.usetex": True,
    "font.family": ["No Such Font"],
    "mathtext.fontset": "custom",
    "mathtext.rm": "No Such Font",
    "axes.facecolor": "black",
    "axes.formatter.use_locale": True,
    "axes.labelcolor": "white",
    "axes.labelsize": 40,
    "figure.autolayout": True,
    "image.aspect": "auto",
    "image.origin": "lower",
    "legend.labelcolor": "white",
    "lines.marker": "x",
    "path.sketch": (1, 100, 2),
    "savefig.bbox": "tight",
    "savefig.dpi": 30,
    "savefig.format": "nonsense",
    "savefig.transparent": True,
    "scatter.marker": "x",
    "text.color": "white",
    "xtick.color": "white",
}


def small_picture():
    """A maze and a learning curve, as bytes."""
    figure, (left, right) = plt.subplots(1, 2)
    plots.draw_maze(left, GridMaze(5).walls, goal=(1, 1), agent=(2, 2))
    plots.draw_learning_curves(right, {"a & b_c": [1e4, 2e4, 4e4], "50 % $x^2$": [3e4, 2e4, 1e4]}, window=2)
    right.set_title("M(t) # 5 %")
    return plots.show(figure, "a maze and two curves")._repr_html_()


def view_box(page):
    return re.findall('viewBox="[^"]*"', page)


def png_size(figure):
    return plots.png_bytes(figure)[16:24]


def test_a_picture_in_our_style_is_the_same_whatever_a_matplotlibrc_says():
    with plt.rc_context():
        plots.use_style()
        want = small_picture()
    with plt.rc_context(FOREIGN):
        plots.use_style()
        assert small_picture() == want


def test_a_picture_in_a_style_of_others_needs_no_latex_and_keeps_its_size():
    want = small_picture()
    size = png_size(plt.figure())
    saving = {key: value for key, value in FOREIGN.items() if key.startswith(("savefig.", "text.usetex"))}
    with plt.rc_context(saving):
        assert view_box(small_picture()) == view_box(want) != []
        assert png_size(plt.figure()) == size, "width and height"
        figure, axes = plt.subplots()
        axes.set_xlabel("set by Matplotlib")
        assert plots.png_bytes(figure)[:4] == b"\x89PNG"
        assert not axes.xaxis.label.get_usetex()
        plt.close(figure)


def test_curves_of_runs_need_no_window_system_no_latex_and_no_font_of_others(tmp_path):
    folder = tmp_path / "run"
    train(TrainConfig(iterations=2, hidden_size=3, batch_size=2, episode_length=4, quiet=True, out=folder))
    plain = {key: value for key, value in FOREIGN.items() if not isinstance(value, list | tuple)}
    settings = "".join(f"{key}: {value}\n" for key, value in plain.items())
    (tmp_path / "matplotlibrc").write_text(settings, encoding="utf-8")
    pictures = []
    for name, foreign in {
        "usual": {"MPLBACKEND": "agg"},
        "foreign": {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "MPLBACKEND": "module://no_such_backend"},
    }.items():
        picture = tmp_path / f"{name}.png"
        command = [sys.executable, "-m", "bpa", "plot", str(folder), "--save", str(picture)]
        run = subprocess.run(command, capture_output=True, text=True, env=os.environ | foreign)
        assert (run.returncode, run.stdout.strip()) == (0, str(picture)), run.stderr
        pictures.append(picture.read_bytes())
    assert pictures[0] == pictures[1]
