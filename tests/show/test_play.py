"""An agent to be looked at, and its learning curves: what is shown is what happened."""

import itertools
import shutil

import numpy as np
import pytest
import torch
from matplotlib import image
from PIL import Image
from small import SMALL

from bpa import train
from bpa.cli import main
from bpa.experiments.evaluate import step_rewards
from bpa.show.curves import labelled, save_curves
from bpa.show.play import described, episode, save_film
from bpa.training.checkpoint import load_weights


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs: two of one kind with different seeds, one of another."""
    folder = tmp_path_factory.mktemp("runs")
    for name, changes in (
        ("a", {}),
        ("b", {"seed": 1}),
        ("c", {"plasticity": "none"}),
        ("d", {"task": "recall"}),
    ):
        train(SMALL.replace(out=str(folder / name), **changes))
    return folder


def test_the_moments_are_those_of_the_episode(runs):
    net, config = load_weights(runs / "a")
    moments = list(episode(net, config, seed=4))
    rewards = step_rewards(net, config, episodes=1, seed=4)[:, 0]
    assert [moment.reward for moment in moments[1:]] == rewards.tolist()
    assert [moment.total for moment in moments] == [0.0, *rewards.cumsum(0).tolist()]
    assert [moment.step for moment in moments] == list(range(config.episode_length + 1))
    assert (moments[0].action, moments[0].modulation) == (None, None)
    for before, after in itertools.pairwise(moments):
        places = [
            np.argwhere(np.array([list(line) for line in m.text.split()]) == "A")[0] for m in (before, after)
        ]
        move = (places[1] - places[0]).tolist()
        moved = [(-1, 0), (1, 0), (0, -1), (0, 1)][after.action]
        assert after.reward > 0 or move in ([0, 0], list(moved))
    again = list(episode(net, config, seed=4))
    assert (
        [m.text for m in moments] == [m.text for m in again] != [m.text for m in episode(net, config, seed=5)]
    )
    assert f"M {moments[3].modulation:+.2f}" in described(moments[3])
    plain, config = load_weights(runs / "c")
    assert "M " not in "".join(described(moment) for moment in episode(plain, config))


def test_a_film_shows_every_moment(runs, tmp_path):
    moments = list(episode(*load_weights(runs / "a")))
    save_film(moments, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        total = sum(film.seek(n) or film.info["duration"] for n in range(film.n_frames))
        assert film.size == moments[0].picture.shape[1::-1]
        film.seek(0)
        shown = np.asarray(film.convert("RGB"), dtype=int)
    assert total == 100 * len(moments)
    assert np.array_equal(shown, moments[0].picture)
    with pytest.raises(ValueError, match=r"film.gif exists and is never overwritten"):
        save_film(moments, tmp_path / "film.gif")
    with pytest.raises(ValueError, match=r"save must end in .gif or .mp4, got film.avi"):
        save_film(moments, "film.avi")
    with pytest.raises(ValueError, match="must be in a folder that exists"):
        save_film(moments, tmp_path / "nowhere" / "film.gif")
    with pytest.raises(ValueError, match="fps must be a whole number from 1 to 50, got 0"):
        save_film(moments, tmp_path / "b.gif", fps=0)


def test_a_film_without_its_program_is_refused(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    moments = list(episode(*load_weights(runs / "a")))
    with pytest.raises(ValueError, match=r"film.mp4 needs the program ffmpeg, which is not installed"):
        save_film(moments, tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())


def test_a_film_by_ffmpeg_is_given_every_picture(runs, tmp_path, monkeypatch):
    """A stand-in for ffmpeg notes what it was given, and fails when it is told to."""
    stand_in = tmp_path / "bin" / "ffmpeg"
    stand_in.parent.mkdir()
    stand_in.write_text(f"""#!/bin/sh
printf "%s\\n" "$*" > {tmp_path}/said; cat > {tmp_path}/given
for last; do :; done; echo film > "$last"
[ -e {tmp_path}/fail ] && echo "no such codec" >&2 && exit 1
exit 0
""")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(stand_in.parent), prepend=":")
    moments = list(episode(*load_weights(runs / "a")))
    save_film(moments, tmp_path / "film.mp4", fps=7)
    assert (tmp_path / "given").read_bytes() == b"".join(moment.picture.tobytes() for moment in moments)
    said = (tmp_path / "said").read_text()
    assert "-s 120x120 -r 7 -i -" in said
    assert "-f mp4" in said
    assert (tmp_path / "film.mp4").read_text() == "film\n"
    (tmp_path / "fail").touch()
    (tmp_path / "film.mp4").unlink()
    with pytest.raises(ValueError, match=r"film.mp4 cannot be written: .*no such codec"):
        save_film(moments, tmp_path / "film.mp4")
    assert not list(tmp_path.glob("film*"))  # nor a part of it


def test_play_on_the_command_line(runs, tmp_path, capsys, monkeypatch):
    assert main(["play", str(runs / "a"), "--seed", "4"]) == 0
    said = capsys.readouterr().out
    net, config = load_weights(runs / "a")
    assert said == "".join(described(moment) + "\n" for moment in episode(net, config, seed=4))
    assert main(["play", str(runs / "a"), "--save", str(tmp_path / "film.gif")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'film.gif'}\n"
    for arguments, complaint in (
        (["play", str(runs / "a"), "--seed", "-1"], "seed must be a whole number from 0"),
        (["play", str(runs / "a"), "--fps", "99"], "fps must be a whole number from 1 to 50, got 99"),
        (["play", str(runs / "d")], "task must be 'maze' to be looked at, got 'recall'"),
        (["play", str(tmp_path / "nothing")], "nothing does not exist"),
        (["plot"], "runs"),
        (["plot", str(tmp_path)], "history.csv cannot be read"),
        (["plot", str(runs / "a"), "--save", "x.txt"], "save must end in .png, .svg or .pdf, got x.txt"),
        (["plot", str(runs / "a"), "--window", "0", "--save", "x.png"], "window must be"),
        (["plot", str(runs / "a"), str(runs / "d"), "--save", "x.png"], "one kind of score"),
    ):
        assert main(arguments) == 2, arguments
        err = capsys.readouterr().err
        assert complaint in err
        assert err.count("\n") == 1


def test_runs_that_differ_in_their_seed_share_a_curve(runs, tmp_path, capsys):
    configs = [load_weights(runs / name)[1].named_settings() for name in "abc"]
    assert labelled(configs) == ["plasticity simple", "plasticity simple", "plasticity none"]
    assert labelled(configs[:1]) == ["plasticity simple"]
    drawn = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "bpa.show.curves.draw_learning_curves", lambda axes, curves, window: drawn.update(curves)
        )
        save_curves([str(runs / name) for name in "abc"], tmp_path / "x.png", window=2)
    assert {label: np.shape(values) for label, values in drawn.items()} == {
        "plasticity simple (2 runs)": (2, 3),
        "plasticity none": (1, 3),
    }
    assert main(["plot", str(runs / "a"), str(runs / "b"), "--save", str(tmp_path / "y.png")]) == 0
    picture = image.imread(tmp_path / "y.png")
    assert picture.std() > 0
    with pytest.raises(ValueError, match=r"y.png exists and is never overwritten"):
        save_curves([str(runs / "a")], tmp_path / "y.png")


def test_nothing_global_is_drawn_from(runs):
    state = torch.get_rng_state()
    list(episode(*load_weights(runs / "a")))
    assert torch.equal(state, torch.get_rng_state())
