"""The pictures of a slider: what is light on a light page is dark on a dark one, images stay as they are."""

import base64
import io
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

import bpa.show
from bpa.show import plots, stills

matplotlib.use("Agg")


def pixels(address):
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_night_turns_greys_round_and_leaves_hues():
    rgb = [round(255 * channel) for channel in stills.night("white")[:3]]
    assert rgb == [0x12, 0x12, 0x12]
    rgb = [round(255 * channel) for channel in stills.night(plots.STYLE["text.color"])[:3]]
    assert rgb == [0xE8, 0xE8, 0xE8]
    lightness = [sum(stills.night(str(grey))[:3]) for grey in (0.2, 0.5, 0.8, 1.0)]
    assert lightness == sorted(lightness, reverse=True)
    for color in plots.COLORS.values():
        if color != plots.COLORS["black"]:
            assert stills.night(color) == matplotlib.colors.to_rgba(color)
    assert stills.night((0, 0, 0, 0.25))[3] == 0.25


def test_the_dark_picture_has_the_ground_of_a_dark_figure_and_the_same_image():
    with plt.style.context(plots.STYLES):
        figure, (left, right) = plt.subplots(1, 2, figsize=(4, 2))
        left.plot([0, 1], label="line")
        left.scatter([0.5], [0.5])
        left.legend(frameon=True)
        left.text(0.1, 0.8, "word", bbox={"facecolor": "white"})
        shown = right.imshow([[0.0, 1.0], [1.0, 0.0]], cmap="gray")
        right.text(0, 0, "1", color="white")
        right.set_axis_off()
        figure.draw_without_rendering()
        box = shown.get_window_extent().transformed(figure.transFigure.inverted())
        light, dark = (pixels(address) for address in stills.still(figure))
    plt.close(figure)
    assert light.shape == dark.shape
    assert light[0, 0].tolist() == [255, 255, 255]
    assert dark[0, 0].tolist() == [0x12, 0x12, 0x12]
    height, width, _ = light.shape
    rows = slice(round(height * (1 - box.y1)) + 2, round(height * (1 - box.y0)) - 2)
    columns = slice(round(width * box.x0) + 2, round(width * box.x1) - 2)
    assert np.abs(light[rows, columns] - dark[rows, columns]).max() <= 8  # but for the palette
    assert (light.mean(2) > 240).mean() > 0.5
    elsewhere = np.ones((height, width), bool)
    elsewhere[rows, columns] = False
    assert (dark.mean(2)[elsewhere] < 60).mean() > 0.8  # no glaring card is left
    assert (dark.mean(2)[elsewhere] > 180).any()  # and letters that can be read on it


@pytest.mark.parametrize("layout", ["constrained", "none"])
@pytest.mark.parametrize("dpi", [72, 144])
def test_both_pictures_have_everything_in_the_same_places_whatever_the_figure_was_made_for(layout, dpi):
    with plt.style.context(plots.STYLES):
        figure, axes = plt.subplots(figsize=(4, 2), layout=layout, dpi=dpi)
        axes.plot([0, 1], color=plots.COLORS["blue"], linestyle="-")
        axes.set(xlabel="a label", ylabel="another")
        light, dark = (pixels(address) for address in stills.still(figure))
    plt.close(figure)
    assert light.shape == dark.shape == (2 * 144, 4 * 144, 3)
    is_blue = [image[..., 2] - image[..., 0] > 100 for image in (light, dark)]
    assert is_blue[0].sum() > 1000
    where = [np.argwhere(blue) for blue in is_blue]
    assert (np.abs(where[0].min(0) - where[1].min(0)) <= 1).all()
    assert (np.abs(where[0].max(0) - where[1].max(0)) <= 1).all()


def test_the_night_is_that_of_the_live_figures():
    css = Path(bpa.show.__file__).with_name("live").joinpath("frame.css").read_text(encoding="utf-8")
    dark = css.partition('data-theme="dark"')[2]
    assert re.search(r"--paper: (#\w+)", dark)[1] == stills.NIGHT_PAPER
    assert re.search(r"--ink: (#\w+)", dark)[1] == stills.NIGHT_INK
