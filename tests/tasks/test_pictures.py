"""Real pictures: training and test strictly apart, episodes of different ones, and what a half gives away."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import Ridge

from bpa import Network
from bpa.cells.sizes import count_parameters, matching_hidden_size
from bpa.tasks.pictures import STRIPS, Pictures, digits, guess_error, photographs
from bpa.training.supervised import examine, fit


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
        task = Pictures("photographs", split, 1, patch_size=size, shrink=shrink)
        pixels = torch.zeros(task.pictures.shape, dtype=torch.bool)
        for picture, row, column in task.corners.tolist():
            pixels[picture, row : row + size, column : column + size] = True
        covered[split] = pixels.repeat_interleave(shrink, 1).repeat_interleave(shrink, 2)
    assert not (covered["train"] & covered["test"]).any()
    for pixels, least in zip(covered.values(), (0.3, 0.05), strict=True):
        assert pixels.float().mean() > least, "little of the photographs is in use"


@pytest.mark.parametrize(("split", "size", "shrink"), [("train", 7, 8), ("test", 3, 8), ("test", 10, 5)])
def test_patches_are_all_those_in_a_strip_with_something_to_see(split, size, shrink):
    task = Pictures("photographs", split, 1, patch_size=size, shrink=shrink)
    rows, columns = task.pictures.shape[1:]
    strips = [k for k in range(10) if (k in (3, 7)) == (split == "test")]
    expected, width = [], columns // 10
    for picture, row, column in itertools.product(
        range(2), range(rows - size + 1), range(columns - size + 1)
    ):
        inside = any(k * width <= column and column + size <= (k + 1) * width for k in strips)
        patch = task.pictures[picture, row : row + size, column : column + size]
        if inside and np.std(patch.double().numpy()) > 0.02:
            expected.append([picture, row, column])
    assert task.corners.tolist() == expected
    assert len(expected) < 2 * (rows - size + 1) * (width - size + 1) * len(strips), "none is flat"
    picture, row, column = expected[-1]
    patch = task.pictures[picture, row : row + size, column : column + size].numpy()
    assert np.allclose(task.cut(task.corners[-1]), (patch - patch.mean()) / patch.std(), atol=1e-4)


def test_every_picture_is_as_likely_as_any_other():
    task = Pictures("digits", "test", 2, batch_size=20_000, generator=seeded(8))
    drawn = task.draw()[..., 0]
    assert chisquare(torch.bincount(drawn.flatten(), minlength=450).numpy()).pvalue > 1e-3
    # Pictures of an episode need not be apart in more than place: nothing but an overlap is refused.
    task = Pictures("photographs", "test", 2, batch_size=20_000, patch_size=12, generator=seeded(9))
    first, second = task.draw().unbind(1)
    apart = (first - second).abs()
    assert ((apart[:, 0] == 1) & (apart[:, 1:] < 12).all(1)).any(), "same place, other photograph"
    assert ((apart[:, 0] == 0) & (apart[:, 1] < 12)).any(), "same photograph, same rows"
    assert ((apart[:, 0] == 0) & (apart[:, 2] < 12)).any(), "same photograph, same columns"


@pytest.mark.parametrize("source", ["digits", "photographs"])
def test_what_a_half_gives_away_is_measured_by_a_ridge_regression(source):
    """The guess against scikit-learn's ridge, from the same batches."""
    kind = {"source": source, "num_pictures": 1, "patch_size": None if source == "digits" else 6}

    def task(split, seed):
        return Pictures(split=split, generator=seeded(seed), **kind)

    def asked(batches):
        parts = [(one.inputs[-1], one.targets[-1], one.mask[-1]) for one in batches]
        return (torch.cat(part).numpy() for part in zip(*parts, strict=True))

    found = guess_error(task("train", 10), task("test", 11), batches=20, ridge=0.3)
    train, test = task("train", 10), task("test", 11)
    cues, answers, masks = asked([train.sample() for _ in range(20)])
    new_cues, new_answers, new_masks = asked([test.sample() for _ in range(20)])
    errors = []
    for half in np.unique(masks, axis=0):
        mine, theirs = (masks == half).all(1), (new_masks == half).all(1)
        model = Ridge(alpha=0.3 * mine.sum(), fit_intercept=False)
        model.fit(cues[mine][:, ~half].astype(float), answers[mine][:, half].astype(float))
        guessed = model.predict(new_cues[theirs][:, ~half].astype(float))
        errors.append((guessed - new_answers[theirs][:, half]).ravel() ** 2)
    assert len(errors) == 4
    assert found == pytest.approx(np.concatenate(errors).mean(), rel=1e-5)
    with pytest.raises(ValueError, match="batches must be a whole number of at least 1, got 0"):
        guess_error(train, test, batches=0)


def located(task, picture):
    """Where in the task's pictures a scaled picture [S, S] comes from: all corners that fit."""
    found = []
    for begin in range(0, len(task.corners), 4096):
        corners = task.corners[begin : begin + 4096]
        fits = (task.cut(corners) - picture).abs().amax((-2, -1)) < 1e-4
        found += corners[fits].tolist()
    return found


@pytest.mark.parametrize("source", ["digits", "photographs"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_episode_shows_different_pictures_of_its_split_and_asks_for_half_of_one(source, split):
    task = Pictures(source, split, 3, batch_size=3, presentations=2, generator=seeded(0))
    inputs, targets, mask = task.sample()
    S, P = task.size, task.size**2
    assert inputs.shape == targets.shape == mask.shape == (27, 3, P) == (task.episode_length, 3, P)
    assert not mask[:-1].any()
    assert not targets[:-1].any()
    assert not inputs[3:24:4].any(), "a pause after each picture"
    for episode in range(3):
        shown = inputs[0:24:4, episode]
        for later in (1, 2):
            assert torch.equal(shown, inputs[later:24:4, episode])
        first, second = (one.tolist() for one in shown.split(3))
        assert sorted(first) == sorted(second)
        places = [located(task, one.reshape(S, S)) for one in shown[:3]]
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
    task = Pictures("photographs", "test", 12, batch_size=100, patch_size=8, generator=seeded(7))
    for places in task.draw().tolist():
        for one in range(12):
            for other in range(one):
                (a, row, column), (b, other_row, other_column) = places[one], places[other]
                assert a != b or abs(row - other_row) >= 8 or abs(column - other_column) >= 8


@pytest.mark.parametrize("half", ["top", "bottom", "left", "right"])
@pytest.mark.parametrize("size", [2, 5, 8, 9])
def test_the_hidden_half_is_the_one_asked_for(half, size):
    task = Pictures("photographs", "train", 1, 2, hidden=half, patch_size=size, generator=seeded(size))
    mask = task.sample().mask[-1].reshape(2, size, size)
    for row in range(size):
        for column in range(size):
            far = {"top": row, "left": column, "bottom": size - 1 - row, "right": size - 1 - column}[half]
            assert (mask[:, row, column] == (far < size // 2)).all()


def test_the_picture_asked_for_and_its_half_are_random():
    task = Pictures("digits", "train", 3, batch_size=6000, presentations=1, show_steps=1, generator=seeded(1))
    inputs, targets, mask = task.sample()
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
        assert not torch.equal(Pictures(source).sample().inputs, Pictures(source).sample().inputs)
        assert {part.device.type for part in Pictures(source, device="meta").sample()} == {"meta"}
        assert one.input_size == one.output_size == {"digits": 64, "photographs": 144}[source]
    # Twelve patches a test episode: some are drawn again and again, from the same generator.
    many = [
        Pictures("photographs", "test", 12, batch_size=50, patch_size=8, generator=seeded(12))
        for _ in range(2)
    ]
    assert torch.equal(many[0].draw(), many[1].draw())


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
        (
            {"source": "photographs", "patch_size": 1},
            "patch_size must be a whole number of at least 2, got 1",
        ),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"presentations": 0}, "presentations must be a whole number of at least 1, got 0"),
        ({"show_steps": 0}, "show_steps must be a whole number of at least 1, got 0"),
        ({"pause_steps": -1}, "pause_steps must be a whole number of at least 0, got -1"),
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
