"""Real pictures: training and test strictly apart, episodes of different ones, and what a half gives away."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.datasets import load_digits, load_sample_images

from bpa import Network
from bpa.pictures import STRIPS, Pictures, digits, guess_error, photographs
from bpa.sizes import count_parameters, matching_hidden_size
from bpa.supervised import examine, fit


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_the_digits_are_scikit_learns_and_no_test_picture_is_a_training_picture():
    train, test = digits("train"), digits("test")
    assert torch.equal(torch.cat([train, test]), torch.tensor(load_digits().images).float() / 16)
    assert len(test) == 450
    seen = {tuple(picture.flatten().tolist()) for picture in train}
    assert not any(tuple(picture.flatten().tolist()) in seen for picture in test)


def test_the_photographs_are_scikit_learns_averaged_over_squares():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = photographs(2)
    assert grey.shape == (2, 213, 320)
    for k, picture in enumerate(load_sample_images().images):
        for row, column in ((0, 0), (100, 7), (212, 319)):
            square = picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(4, 3).tolist()
            expected = sum(0.299 * r + 0.587 * g + 0.114 * b for r, g, b in square) / 4 / 255
            assert grey[k, row, column].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("size", "shrink"), [(12, 2), (32, 2), (5, 1), (16, 4)])
def test_no_test_patch_shares_a_pixel_with_any_training_patch(size, shrink):
    covered = {}
    for split in ("train", "test"):
        world = Pictures("photographs", split, 1, patch_size=size, shrink=shrink)
        pixels = torch.zeros(world.pictures.shape, dtype=torch.bool)
        for picture, row, column in world.corners.tolist():
            pixels[picture, row : row + size, column : column + size] = True
        covered[split] = pixels.repeat_interleave(shrink, 1).repeat_interleave(shrink, 2)
    assert not (covered["train"] & covered["test"]).any()
    for pixels, least in zip(covered.values(), (0.3, 0.05), strict=True):
        assert pixels.float().mean() > least, "little of the photographs is in use"


def located(world, picture):
    """Where in the world's pictures a scaled picture [S, S] comes from: all corners that fit."""
    found = []
    for begin in range(0, len(world.corners), 4096):
        corners = world.corners[begin : begin + 4096]
        fits = (world.cut(corners) - picture).abs().amax((-2, -1)) < 1e-4
        found += corners[fits].tolist()
    return found


@pytest.mark.parametrize("source", ["digits", "photographs"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_episode_shows_different_pictures_of_its_split_and_asks_for_half_of_one(source, split):
    world = Pictures(source, split, 3, batch_size=3, presentations=2, generator=seeded(0))
    inputs, targets, mask = world.sample()
    S, P = world.size, world.size**2
    assert inputs.shape == targets.shape == mask.shape == (27, 3, P) == (world.episode_length, 3, P)
    assert not mask[:-1].any()
    assert not targets[:-1].any()
    assert not inputs[3:24:4].any(), "a pause after each picture"
    for episode in range(3):
        shown = inputs[0:24:4, episode]
        for later in (1, 2):
            assert torch.equal(shown, inputs[later:24:4, episode])
        first, second = (one.tolist() for one in shown.split(3))
        assert sorted(first) == sorted(second)
        places = [located(world, one.reshape(S, S)) for one in shown[:3]]
        assert all(places), "each picture comes from the split"
        for one in range(3):
            for other in range(one):
                for a in places[one]:
                    for b in places[other]:
                        near = abs(a[1] - b[1]) < S and abs(a[2] - b[2]) < S
                        assert a[0] != b[0] or not near, "two pictures of an episode overlap"
        assert shown.mean(1).abs().max() < 1e-4
        assert (shown.square().mean(1) - 1).abs().max() < 1e-3
        assert targets[-1, episode].tolist() in first
        assert torch.equal(inputs[-1, episode], targets[-1, episode].masked_fill(mask[-1, episode], 0))
        assert torch.equal(inputs[-3:, episode], inputs[-1:, episode].expand(3, P))


def test_patches_of_an_episode_never_overlap_however_many_there_are():
    world = Pictures("photographs", "test", 12, batch_size=100, patch_size=8, generator=seeded(7))
    for places in world.draw().tolist():
        for one in range(12):
            for other in range(one):
                (a, row, column), (b, other_row, other_column) = places[one], places[other]
                assert a != b or abs(row - other_row) >= 8 or abs(column - other_column) >= 8


@settings(max_examples=30)
@given(st.sampled_from(["top", "bottom", "left", "right"]), st.integers(2, 9), st.integers(0, 2**32))
def test_the_hidden_half_is_the_one_asked_for(half, size, seed):
    world = Pictures("photographs", "train", 1, 2, hidden=half, patch_size=size, generator=seeded(seed))
    mask = world.sample().mask[-1].reshape(2, size, size)
    for row in range(size):
        for column in range(size):
            far = {"top": row, "left": column, "bottom": size - 1 - row, "right": size - 1 - column}[half]
            assert (mask[:, row, column] == (far < size // 2)).all()


def test_the_picture_asked_for_and_its_half_are_random():
    world = Pictures(
        "digits", "train", 3, batch_size=6000, presentations=1, show_steps=1, generator=seeded(1)
    )
    inputs, targets, mask = world.sample()
    place = (inputs[:-1:2] == targets[-1]).all(-1).long().argmax(0)
    assert chisquare(torch.bincount(place).numpy()).pvalue > 1e-3
    halves, counts = mask[-1].unique(dim=0, return_counts=True)
    assert len(halves) == 4
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_the_same_seed_gives_the_same_lessons():
    for source in ("digits", "photographs"):
        one, other = Pictures(source, generator=seeded(2)), Pictures(source, generator=seeded(2))
        first = one.sample()
        assert all(torch.equal(a, b) for a, b in zip(first, other.sample(), strict=True))
        assert not torch.equal(first.inputs, one.sample().inputs)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"source": "faces"}, "source must be one of 'digits', 'photographs', got 'faces'"),
        ({"split": "validation"}, "split must be one of 'train', 'test', got 'validation'"),
        ({"num_pictures": 0}, "num_pictures must be a whole number of at least 1, got 0"),
        ({"split": "test", "num_pictures": 451}, "num_pictures must be at most 450 for digits"),
        ({"source": "photographs", "num_pictures": 1000}, "num_pictures must be at most 35 for photographs"),
        ({"patch_size": 12}, "patch_size must be 8 or None for digits, got 12"),
        (
            {"source": "photographs", "patch_size": 33},
            "patch_size must be at most 32, the width of the strips",
        ),
        ({"source": "photographs", "shrink": 0}, "shrink must be a whole number of at least 1, got 0"),
        ({"hidden": "middle"}, "hidden must be one of 'top', 'bottom', 'left', 'right', 'random'"),
    ],
)
def test_a_wrong_setting_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Pictures(**wrong)
    assert STRIPS == 10


def test_a_plastic_network_remembers_test_pictures_and_an_equally_large_plain_one_only_guesses():
    def build(plasticity, hidden_size):
        return Network(64, hidden_size, 64, plasticity=plasticity, generator=seeded(0))

    plastic = build("plastic", 50)
    hidden_size = matching_hidden_size(
        lambda hidden_size: Network(64, hidden_size, 64, plasticity="none"), count_parameters(plastic)
    )
    errors = []
    for net in (plastic, build("none", hidden_size)):
        kind = {"num_pictures": 2, "presentations": 1}
        fit(Pictures("digits", "train", generator=seeded(3), **kind), net, 300, learning_rate=5e-3)
        errors.append(examine(Pictures("digits", "test", generator=seeded(4), **kind), net)[0])
    guess = guess_error(Pictures(generator=seeded(5)), Pictures(split="test", generator=seeded(6)), 100)
    assert errors[0] < 0.75 * errors[1], errors
    assert errors[0] < 0.75 * guess, (errors, guess)
    assert 0.25 < guess < 0.4
