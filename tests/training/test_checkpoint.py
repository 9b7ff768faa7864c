"""A run on disk: resumed to the bit, never overwritten, and torn or foreign files are named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small import SMALL, assert_equal_weights, weights

from bpa import train
from bpa.envs.baselines import expected_reward
from bpa.experiments.evaluate import episode_rewards, first_hits, maze_metrics, report
from bpa.show.curves import save_curves
from bpa.show.play import episode, save_film
from bpa.training import checkpoint as runs
from bpa.training.adam import Adam


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "done"
    return folder, train(SMALL.replace(iterations=4, checkpoint_every=2, out=str(folder)))


def test_the_folder_holds_what_it_promises(finished):
    folder, result = finished
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock",
        "checkpoint.safetensors",
        "config.json",
        "history.csv",
        "weights.safetensors",
    ]
    assert runs.TrainConfig.from_dict(json.loads((folder / "config.json").read_text())) == result.config
    assert runs.read_history(folder / "history.csv") == result.history
    assert [record.iteration for record in result.history] == [1, 2, 3, 4]


def test_weights_come_back_as_they_were(finished):
    folder, result = finished
    for path in (folder, folder / "weights.safetensors", str(folder)):
        net, config = runs.load_weights(path)
        assert config == result.config
        assert_equal_weights(net.state_dict(), weights(result))


@pytest.mark.parametrize("plasticity", ["none", "plastic", "simple", "retroactive"])
def test_a_run_in_two_parts_ends_in_the_same_bits(tmp_path, plasticity):
    config = SMALL.replace(plasticity=plasticity, iterations=6, checkpoint_every=2)
    whole = train(config)
    parted = config.replace(out=str(tmp_path / "run"))
    train(parted.replace(iterations=3))
    resumed = train(parted.replace(resume=True))
    assert_equal_weights(weights(whole), weights(resumed))
    assert [record[:4] for record in whole.history] == [record[:4] for record in resumed.history]
    assert runs.read_history(tmp_path / "run" / "history.csv") == resumed.history


def test_a_run_killed_between_checkpoints_goes_on_from_the_last_one(tmp_path, monkeypatch):
    config = SMALL.replace(iterations=5, checkpoint_every=2, out=str(tmp_path / "run"))

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        steps = iter([Adam.step] * 3 + [killed])
        patch.setattr(Adam, "step", lambda self: next(steps)(self))
        with pytest.raises(KeyboardInterrupt):
            train(config)
    with open(tmp_path / "run" / "history.csv", "a") as file:
        file.write("4,0.")  # a line torn by the kill
    assert_equal_weights(
        weights(train(config.replace(resume=True))), weights(train(config.replace(out=None)))
    )


def test_a_run_killed_before_its_first_checkpoint_can_be_resumed(tmp_path, monkeypatch):
    config = SMALL.replace(out=str(tmp_path / "run"))

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Adam, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert_equal_weights(weights(train(config.replace(resume=True))), weights(train(SMALL)))


def test_a_run_killed_between_checkpoint_and_weights_has_both_again_when_resumed(tmp_path, monkeypatch):
    """Also where nothing is left to train."""
    config = SMALL.replace(iterations=4, checkpoint_every=2, out=str(tmp_path / "run"))
    save_weights = runs.save_weights

    def killed_after(count):
        calls = iter(range(count))

        def save_or_die(*arguments):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            save_weights(*arguments)

        return save_or_die

    for finished in (0, 1):  # killed at the first and at the last checkpoint
        with monkeypatch.context() as patch:
            patch.setattr(runs, "save_weights", killed_after(finished))
            with pytest.raises(KeyboardInterrupt):
                train(config)
        assert runs.load_checkpoint(tmp_path / "run").iteration == 2 * (finished + 1)
        resumed = train(config.replace(resume=True))
        assert_equal_weights(weights(resumed), weights(train(config.replace(out=None))))
        assert_equal_weights(runs.load_weights(tmp_path / "run")[0].state_dict(), weights(resumed))
        shutil.rmtree(tmp_path / "run")


def test_ctrl_c_while_the_folder_is_made_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    for part in ("write_config", "write_history", "save_checkpoint", "refuse_full_disk"):
        with monkeypatch.context() as patch:
            patch.setattr(runs, part, interrupted)
            with pytest.raises(KeyboardInterrupt):
                train(SMALL.replace(out=str(tmp_path / "run")))
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "numba", "plasticity": "plastic", "rule": "oja"},
        {"engine": "triton", "hidden_size": 200},
        {"engine": "numba", "cell": "lstm", "plasticity": "plastic"},
    ],
)
def test_a_run_that_is_refused_leaves_no_folder(tmp_path, change):
    with pytest.raises(ValueError, match="cannot run this"):
        train(SMALL.replace(out=str(tmp_path / "run"), **change))
    assert not list(tmp_path.iterdir())


def test_two_runs_never_write_into_one_folder(tmp_path):
    config = SMALL.replace(iterations=4, out=str(tmp_path / "run"))
    refused = []

    def another(net, history):
        with pytest.raises(ValueError, match=r"out .*run is being written by another process") as refusal:
            train(config.replace(resume=True))
        refused.append(refusal)

    result = train(config, watch=another)
    assert len(refused) == 4
    assert runs.read_history(tmp_path / "run" / "history.csv") == result.history
    train(config.replace(resume=True, iterations=5), watch=None)  # and is free again


def test_a_folder_is_free_again_after_a_run_that_failed(tmp_path, monkeypatch):
    config = SMALL.replace(out=str(tmp_path / "run"))

    def broken(net, history):
        raise OSError("the reader broke")

    with pytest.raises(OSError, match="the reader broke"):
        train(config, watch=broken)
    train(config.replace(resume=True))


def test_a_file_that_cannot_be_written_whole_is_not_begun(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    def stopped(*arguments):
        raise KeyboardInterrupt

    path = tmp_path / "file"
    for failure, kind in ((full, OSError), (stopped, KeyboardInterrupt)):
        for part in ("fsync", "replace"):
            with monkeypatch.context() as patch:
                patch.setattr(f"os.{part}", failure)
                with pytest.raises(kind):
                    runs.write_atomically(path, b"new")
            assert not list(tmp_path.iterdir())
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        runs.write_atomically(path, b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("late", [False, True])
def test_a_picture_or_film_that_cannot_be_written_whole_is_not_begun(tmp_path, finished, monkeypatch, late):
    """So that the next try is not refused because something exists."""

    def stopped(*arguments, **settings):
        raise KeyboardInterrupt

    folder, _ = finished
    if late:
        monkeypatch.setattr("os.fsync", stopped)
    else:
        monkeypatch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", stopped)
        monkeypatch.setattr("PIL.Image.Image.save", stopped)
    for write in (
        lambda: save_curves([folder], tmp_path / "curves.png"),
        lambda: save_film(list(episode(*runs.load_weights(folder))), tmp_path / "film.gif"),
    ):
        with pytest.raises(KeyboardInterrupt):
            write()
    assert not list(tmp_path.iterdir())


def test_a_run_may_go_on_in_another_engine(tmp_path):
    config = SMALL.replace(iterations=2, engine="eager", out=str(tmp_path / "run"))
    train(config)
    resumed = train(config.replace(iterations=4, engine="numba", resume=True))
    alone = train(config.replace(iterations=4, out=None))
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(weights(resumed)[name], tensor, rtol=1e-4, atol=1e-6)


def test_weights_forget_where_they_were_trained(tmp_path, monkeypatch):
    """Trained by an engine and on a device that are not here, they are evaluated by what is here."""
    result = train(SMALL.replace(engine="eager"))
    foreign = result.config.replace(engine="triton", device="cuda", hidden_size=6)
    runs.save_weights(tmp_path / "foreign.safetensors", result.network, foreign)
    net, config = runs.load_weights(tmp_path / "foreign.safetensors")
    monkeypatch.setattr("bpa.engines.triton_engine", lambda device: "Triton does not work here")
    assert report(net, config, 4) == report(result.network, result.config, 4)
    assert len(list(episode(net, config))) == config.episode_length + 1
    with pytest.raises(ValueError, match="engine 'triton' cannot run this"):
        report(net, config, 4, engine="triton")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs a list of mapped files")
def test_nothing_that_was_read_stays_mapped(finished):
    folder, _ = finished
    checkpoint, (net, _) = runs.load_checkpoint(folder), runs.load_weights(folder)
    assert str(folder) not in Path("/proc/self/maps").read_text()
    assert checkpoint.tensors
    assert net.w.isfinite().all()


def test_an_existing_folder_is_never_overwritten(finished):
    folder, result = finished
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (folder.parent / "empty").mkdir()
    with pytest.raises(ValueError, match="exists and is never overwritten"):
        train(result.config.replace(out=str(folder.parent / "empty")))
    with pytest.raises(ValueError, match="exists and is never overwritten"):
        train(result.config)
    with pytest.raises(ValueError, match=r"learning_rate is 0.001 in the run to resume, got 0.5"):
        train(result.config.replace(resume=True, learning_rate=0.5))
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_resuming_what_is_not_there_is_refused(tmp_path, finished):
    with pytest.raises(ValueError, match=r"checkpoint.safetensors does not exist"):
        train(SMALL.replace(out=str(tmp_path / "nothing"), resume=True))
    assert not (tmp_path / "nothing").exists()
    folder, result = finished
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    with pytest.raises(ValueError, match="is a weights file, not a checkpoint"):
        train(result.config.replace(out=str(tmp_path / "run"), resume=True))


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("generator", torch.zeros(3, dtype=torch.uint8), "'generator' is not the state of a generator"),
        ("generator", torch.zeros(3), "'generator' is not the state of a generator"),
        (
            "optimizer.w.exp_avg",
            torch.zeros(2, 2),
            r"exp_avg must have shape \[6, 6\], got \[2, 2\]",
        ),
        ("network.w", torch.zeros(6), r"tensor 'w' has shape \[6\], the network needs \[6, 6\]"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(tmp_path, finished, name, tensor, message):
    folder, result = finished
    copy = tmp_path / "run"
    copy.mkdir()
    checkpoint = runs.load_checkpoint(folder)
    runs.save_checkpoint(copy, checkpoint._replace(tensors=checkpoint.tensors | {name: tensor}))
    before = (copy / runs.CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match=r"run.checkpoint.safetensors: .*" + message):
        train(result.config.replace(out=str(copy), resume=True, iterations=9))
    assert (copy / runs.CHECKPOINT).read_bytes() == before


def test_a_folder_that_cannot_be_filled_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "save_checkpoint", full)
    with pytest.raises(ValueError, match="cannot be made: No space left on device"):
        train(SMALL.replace(out=str(tmp_path / "run")))
    assert not list(tmp_path.iterdir())


def test_torn_and_foreign_files_are_named(tmp_path, finished):
    folder, _ = finished
    whole = (folder / "weights.safetensors").read_bytes()
    path = tmp_path / "torn.safetensors"
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"torn.safetensors is not a readable safetensors file"):
            runs.load_weights(path)
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="was not written by bpa"):
        runs.load_weights(path)
    with pytest.raises(ValueError, match="nowhere does not exist"):
        runs.load_weights(tmp_path / "nowhere")
    net, config = runs.load_weights(folder)
    described = runs.network_settings(net)
    for changes, said in (
        ({"hidden_size": 7}, r"tensor 'w' has shape \[6, 6\], the network needs \[7, 7\]"),
        ({"plasticity": "plastic", "fanout": False}, "lacks the tensor 'eta'"),
        (
            {"plasticity": "none", "fanout": False},
            "holds the tensor 'alpha', which the network does not have",
        ),
    ):
        # Files of before networks were described by themselves, and files of today.
        old = {"config": json.dumps(config.replace(**changes).as_dict())}
        new = {"network": json.dumps(described | {"settings": described["settings"] | changes})}
        for metadata in (old, new):
            runs.write_tensors(path, dict(net.state_dict()), metadata)
            with pytest.raises(ValueError, match=said):
                runs.load(path)
    runs.save_weights(path, net, config.replace(plasticity="none"))
    assert runs.load_weights(path)[0].plasticity == "simple"  # the network describes itself
    runs.write_tensors(path, dict(net.state_dict()), {"config": "{}"})
    with pytest.raises(ValueError, match="the network needs"):
        runs.load_weights(path)


def test_a_checkpoint_of_before_steps_left_out_were_counted_is_read(tmp_path, finished):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    kept = runs.load_checkpoint(folder)._replace(left_out=2, left_out_in_all=2)
    runs.save_checkpoint(folder, kept)
    tensors, metadata = runs.read_tensors(folder / runs.CHECKPOINT)
    del metadata["left_out_in_all"]
    runs.write_tensors(folder / runs.CHECKPOINT, tensors, metadata)
    again = runs.load_checkpoint(folder)
    assert (again.left_out, again.left_out_in_all, again.iteration) == (2, 2, kept.iteration)


def test_evaluation_is_repeatable_and_says_what_it_saw(finished):
    net, config = runs.load_weights(finished[0])
    rewards = episode_rewards(net, config, episodes=130, seed=5)
    assert rewards.shape == (130,)
    assert torch.equal(rewards, episode_rewards(net, config, episodes=130, seed=5))
    assert not torch.equal(rewards, episode_rewards(net, config, episodes=130, seed=6))
    scores = report(net, config, episodes=130, seed=5)
    assert scores["episodes"] == 130
    assert scores["mean_reward"] == pytest.approx(rewards.mean().item())
    assert scores["median_reward"] == rewards.double().quantile(0.5).item()
    assert scores["std_reward"] == pytest.approx(rewards.std().item(), rel=1e-5)
    assert scores["standard_error"] == pytest.approx(rewards.std().item() / 130**0.5, rel=1e-5)
    assert (scores["random_reward"], scores["oracle_reward"]) == (
        expected_reward("random", 5, 9),
        expected_reward("oracle", 5, 9),
    )
    assert scores["ceiling"] == expected_reward("ideal", 5, 9)
    assert scores["share_of_ceiling"] == pytest.approx(rewards.mean().item() / scores["ceiling"])
    with pytest.raises(ValueError, match="episodes must be a whole number from 1 to 1000000000, got 0"):
        episode_rewards(net, config, episodes=0)


def test_a_disk_too_small_is_named_before_an_hour_is_lost(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match=r"out .*run is on a disk with 0.0 MB left; this run needs 0.2 MB"):
        train(SMALL.replace(iterations=1000, out=str(tmp_path / "run")))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_only_be_read_is_refused_when_resumed(tmp_path, finished, monkeypatch):
    folder, result = finished
    shutil.copytree(folder, tmp_path / "run")

    def read_only(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(runs, "write_atomically", read_only)
    with pytest.raises(ValueError, match="run cannot be written: Read-only file system"):
        train(result.config.replace(out=str(tmp_path / "run"), resume=True, iterations=9))


def test_a_checkpoint_says_what_computed_it(finished):
    _, metadata = runs.read_tensors(finished[0] / runs.CHECKPOINT)
    # PyTorch adds its CUDA to its own name, and not to that of its wheel.
    assert metadata["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert {"bpa", "python", "numpy", "numba"} <= metadata.keys()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("learning_rate_schedule", "learning rate"),
        ("concentration_schedule", "penalty on concentration"),
    ],
)
def test_the_length_of_a_run_in_which_something_falls_may_not_change(tmp_path, name, said):
    config = SMALL.replace(**{name: "linear"}, out=str(tmp_path / "run"))
    whole = train(config.replace(iterations=4))
    with pytest.raises(ValueError, match=f"iterations is 4 in the run to resume, got 6; its {said} falls"):
        train(config.replace(iterations=6, resume=True))
    assert_equal_weights(weights(whole), weights(train(config.replace(iterations=4, resume=True))))


def test_a_history_that_is_none_is_named(tmp_path):
    for text in ("", "a,b\n1,2\n"):
        (tmp_path / "history.csv").write_text(text)
        with pytest.raises(ValueError, match=r"history.csv is no history of bpa"):
            runs.read_history(tmp_path / "history.csv")


def test_what_a_large_maze_does_not_let_compute_is_left_open():
    metrics = maze_metrics(torch.zeros(200, 1), SMALL.replace(size=1001, episode_length=200))
    assert (metrics["random_reward"], metrics["oracle_reward"]) == (None, None)
    metrics = maze_metrics(torch.zeros(200, 1), SMALL.replace(size=171, episode_length=200))
    assert metrics["random_reward"] is None
    assert metrics["oracle_reward"] == pytest.approx(17.094, abs=1e-3)
    assert metrics["ceiling"] is metrics["share_of_ceiling"] is None
    metrics = maze_metrics(torch.zeros(9, 1), SMALL.replace(reward=0.0))
    assert (metrics["ceiling"], metrics["share_of_ceiling"]) == (0, None)


def test_what_comes_after_the_first_hit_is_counted_apart():
    rewards = torch.zeros(6, 3)
    rewards[0, 0] = rewards[4, 0] = rewards[5, 0] = 10.0  # found at step 1, then twice
    rewards[:, 1] = -1.0  # never found
    rewards[3, 2] = 10.0  # found at step 4, then a bump
    rewards[5, 2] = -1.0
    assert first_hits(rewards).tolist() == [1, 0, 4]
    metrics = maze_metrics(rewards, SMALL)
    assert metrics["share_with_a_hit"] == pytest.approx(2 / 3)
    assert metrics["median_first_hit"] == 2.5
    assert metrics["mean_reward_after_first_hit"] == pytest.approx((20 - 1) / 2)
    nothing = maze_metrics(rewards[:, 1:2], SMALL)
    assert (nothing["share_with_a_hit"], nothing["median_first_hit"]) == (0, None)
    assert json.loads(json.dumps(nothing))["mean_reward_after_first_hit"] is None
