"""Published weights are loaded as the program that saved them meant them; all else is named and refused."""

import copy
import json
import pickle
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import bpa
from bpa import Network
from bpa.cells.published import PROGRAMS, load_published
from bpa.training.config import TrainConfig

KINDS = [
    ("simplemaze", "simple"),
    *[
        (program, plasticity)
        for program in ("maze", "cues")
        for plasticity in ("none", "plastic", "simple", "retroactive")
    ],
]
ASKED = [kind for kind in KINDS if kind[1] in ("none", "plastic")]  # whose files do not tell
TOLD = [kind for kind in KINDS if kind not in ASKED]
CLIP = {"simplemaze": 2.0, "maze": 1.0, "cues": 1.0}
inputs, neurons, actions = 5, 7, 3


def published_file(path, program, plasticity, seed=0, dtype=torch.float32):
    """A file with the names and shapes of this program; every number is drawn, large enough to matter."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    state = {
        "i2h.weight": draw(neurons, inputs),
        "i2h.bias": draw(neurons),
        "w": 0.5 * draw(neurons, neurons),
        "h2o.weight": draw(actions, neurons),
        "h2o.bias": draw(actions),
        "h2v.weight": draw(1, neurons),
        "h2v.bias": draw(1),
    }
    if plasticity != "none":
        state["alpha"] = 0.5 * draw(neurons, neurons)
    if plasticity in ("simple", "retroactive"):
        layer = "h2mod" if program == "simplemaze" else "h2DA"
        state |= {f"{layer}.weight": draw(1, neurons), f"{layer}.bias": draw(1)}
    if program == "simplemaze":
        state |= {"modfanout.weight": draw(neurons, 1), "modfanout.bias": draw(neurons)}
    if plasticity == "plastic" or (program == "cues" and plasticity in ("simple", "retroactive")):
        state["eta"] = torch.full((1,), 0.3, dtype=dtype)
    if plasticity == "retroactive":
        state["etaet"] = torch.full((1,), 0.4, dtype=dtype)
    torch.save(state, path)
    return {name: tensor.double().numpy() for name, tensor in state.items()}


class Memory(NamedTuple):
    """What a program carries from step to step: activity [H], and its traces in its own layout [H, H]."""

    x: np.ndarray
    hebb: np.ndarray
    eligibility: np.ndarray


def columns_step(p, clip, inputs, memory):
    """One step of simplemaze: the inputs of neuron j are column j of w, alpha and Hebb."""
    old = memory.x
    x = np.empty(neurons)
    for j in range(neurons):
        drive = p["i2h.weight"][j] @ inputs + p["i2h.bias"][j]
        for i in range(neurons):
            drive += (p["w"][i, j] + p["alpha"][i, j] * memory.hebb[i, j]) * old[i]
        x[j] = np.tanh(drive)
    m = np.tanh(p["h2mod.weight"][0] @ x + p["h2mod.bias"][0])
    hebb = memory.hebb.copy()
    for j in range(neurons):
        gain = p["modfanout.weight"][j, 0] * m + p["modfanout.bias"][j]
        for i in range(neurons):
            hebb[i, j] = min(max(hebb[i, j] + gain * old[i] * x[j], -clip), clip)
    return Memory(x, hebb, memory.eligibility)


def rows_step(p, clip, inputs, memory):
    """One step of maze or cues: the inputs of neuron j are row j of w, alpha, Hebb and the eligibility."""
    plastic, modulated, retroactive = "alpha" in p, "h2DA.weight" in p, "etaet" in p
    connection = p["w"] + p["alpha"] * memory.hebb if plastic else p["w"]
    x = np.tanh(p["i2h.weight"] @ inputs + p["i2h.bias"] + connection @ memory.x)
    if not plastic:
        return Memory(x, memory.hebb, memory.eligibility)
    both = x[:, None] * memory.x[None, :]
    rate = np.tanh(p["h2DA.weight"][0] @ x + p["h2DA.bias"][0]) if modulated else p["eta"][0]
    hebb = np.clip(memory.hebb + rate * (memory.eligibility if retroactive else both), -clip, clip)
    if not retroactive:
        return Memory(x, hebb, memory.eligibility)
    return Memory(x, hebb, (1 - p["etaet"][0]) * memory.eligibility + p["etaet"][0] * both)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("program", "plasticity"), KINDS)
def test_a_published_file_computes_what_its_program_computes(tmp_path, program, plasticity, dtype):
    """In float64, over steps that begin in the middle of an episode, in each program's own layout."""
    p = published_file(tmp_path / "net.dat", program, plasticity, dtype=dtype)
    asked = program if (program, plasticity) in ASKED else None
    net = load_published(tmp_path / "net.dat", asked)
    assert (net.published_program, net.plasticity, net.clip) == (program, plasticity, CLIP[program])
    assert net.fanout == (program == "simplemaze")
    assert net.w.dtype == dtype
    net.double()
    random = np.random.default_rng(1)
    clip, batch = CLIP[program], 3
    memories = [
        Memory(
            random.uniform(-1, 1, neurons),
            random.uniform(-clip, clip, (neurons, neurons)),
            random.uniform(-1, 1, (neurons, neurons)),
        )
        for _ in range(batch)
    ]

    def traces(name):
        each = np.stack([getattr(memory, name) for memory in memories])
        return torch.from_numpy(each if program == "simplemaze" else each.transpose(0, 2, 1).copy())

    hidden = net.initial_state(batch)._replace(h=torch.from_numpy(np.stack([m.x for m in memories])))
    if plasticity != "none":
        hidden = hidden._replace(hebb=traces("hebb"))
    if plasticity == "retroactive":
        hidden = hidden._replace(eligibility=traces("eligibility"))
    step, clipped = (columns_step if program == "simplemaze" else rows_step), 0
    for _ in range(8):
        x = random.normal(size=(batch, inputs))
        memories = [step(p, clip, x[b], memories[b]) for b in range(batch)]
        logits, value, hidden = net(torch.from_numpy(x), hidden)
        for b, memory in enumerate(memories):
            wanted = p["h2o.weight"] @ memory.x + p["h2o.bias"]
            np.testing.assert_allclose(logits[b].detach().numpy(), wanted, rtol=0, atol=1e-10)
            wanted = p["h2v.weight"][0] @ memory.x + p["h2v.bias"][0]
            np.testing.assert_allclose(value[b].item(), wanted, rtol=0, atol=1e-10)
        if hidden.hebb is not None:
            torch.testing.assert_close(hidden.hebb.detach(), traces("hebb"), rtol=0, atol=1e-10)
            clipped += int((hidden.hebb.abs() == clip).sum())
        if hidden.eligibility is not None:
            wanted = traces("eligibility")
            torch.testing.assert_close(hidden.eligibility.detach(), wanted, rtol=0, atol=1e-10)
    assert clipped or plasticity == "none", "no trace has met its bound"


@pytest.mark.parametrize(("program", "plasticity"), ASKED)
def test_a_file_that_does_not_tell_its_program_asks_for_it(tmp_path, program, plasticity):
    published_file(tmp_path / "net.dat", program, plasticity)
    said = "program must be 'maze' or 'cues' for .*net.dat, got None: .* the same names and shapes, .*Network"
    with pytest.raises(ValueError, match=said):
        load_published(tmp_path / "net.dat")
    one, other = (load_published(tmp_path / "net.dat", name) for name in ("maze", "cues"))
    assert (one.published_program, other.published_program) == ("maze", "cues")
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("wrong", list(PROGRAMS))
@pytest.mark.parametrize(("program", "plasticity"), KINDS)
def test_a_program_that_the_names_contradict_is_refused(tmp_path, program, plasticity, wrong):
    published_file(tmp_path / "net.dat", program, plasticity)
    if wrong == program or ((program, plasticity) in ASKED and wrong != "simplemaze"):
        assert load_published(tmp_path / "net.dat", wrong).published_program == wrong
        return
    right = "'maze' or 'cues'" if (program, plasticity) in ASKED else repr(program)
    with pytest.raises(ValueError, match=f"program must be {right} for .*, got '{wrong}': .* the tensor '"):
        load_published(tmp_path / "net.dat", wrong)


def test_a_program_that_is_none_is_refused(tmp_path):
    published_file(tmp_path / "net.dat", "maze", "simple")
    for wrong in ("sr", 1.0, "", ["maze"]):
        with pytest.raises(ValueError, match="program must be one of 'simplemaze', 'maze', 'cues', got"):
            load_published(tmp_path / "net.dat", wrong)
    assert load_published(tmp_path / "net.dat", np.str_("maze")).published_program == "maze"


def test_a_state_dict_with_fanout_comes_back_as_the_network_that_saved_it(tmp_path):
    """The README's program lays its tensors out as `bpa.Network` does."""
    net = Network(17, 9, 4, generator=torch.Generator().manual_seed(0))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    loaded = load_published(tmp_path / "net.pt", clip=1.0)
    assert (loaded.clip, loaded.published_program) == (1.0, "simplemaze")
    xs = torch.randn(8, 2, 17, generator=torch.Generator().manual_seed(1))
    net.clip = 1.0
    assert torch.equal(loaded.unroll(xs, engine="eager").logits, net.unroll(xs, engine="eager").logits)


@pytest.mark.parametrize(
    "kind",
    [
        {"plasticity": "retroactive"},
        {"plasticity": "retroactive", "fanout": False},
        {"plasticity": "simple", "fanout": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("program", [None, *PROGRAMS])
def test_tensors_that_no_program_names_so_are_refused(tmp_path, kind, program):
    torch.save(Network(5, 7, 3, **kind).state_dict(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"the tensor '.*a file of program"):
        load_published(tmp_path / "net.pt", program)


@pytest.mark.parametrize("program", ["maze", "cues"])
@pytest.mark.parametrize("alpha", ["neuron", "network"])
def test_alphas_that_no_program_has_are_refused(tmp_path, program, alpha):
    torch.save(Network(5, 7, 3, plasticity="plastic", alpha=alpha).state_dict(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"tensor 'alpha' has shape .*, the network needs \[7, 7\]"):
        load_published(tmp_path / "net.pt", program)


def test_files_of_before_zip_archives_are_read(tmp_path):
    published_file(tmp_path / "new.dat", "maze", "retroactive")
    state = torch.load(tmp_path / "new.dat", weights_only=True)
    torch.save(state, tmp_path / "old.dat", _use_new_zipfile_serialization=False)
    new, old = (load_published(tmp_path / name) for name in ("new.dat", "old.dat"))
    assert all(torch.equal(tensor, old.state_dict()[name]) for name, tensor in new.state_dict().items())


def test_the_global_generator_is_left_alone(tmp_path):
    published_file(tmp_path / "net.dat", "maze", "simple")
    before = torch.get_rng_state()
    load_published(tmp_path / "net.dat")
    assert torch.equal(before, torch.get_rng_state())


def test_copies_and_files_of_ours_keep_the_program_and_training_ends_it(tmp_path):
    published_file(tmp_path / "net.dat", "cues", "simple")
    net = load_published(tmp_path / "net.dat")
    bpa.save(tmp_path / "net.safetensors", net)
    for other in (copy.deepcopy(net), bpa.load(tmp_path / "net.safetensors")):
        assert other.published_program == "cues"
        assert torch.equal(other.w, net.w)
    env = bpa.envs.cue_reward.CueReward(2, 1, batch_size=2, episode_length=9)
    published_file(tmp_path / "own.dat", "cues", "simple")
    fitting = Network(env.observation_size, 3, env.num_actions, plasticity="simple")
    fitting.published_program = "cues"
    folder = str(tmp_path / "run")
    result = bpa.train(TrainConfig(iterations=1, quiet=True, out=folder), env=env, network=fitting)
    assert result.network.published_program is None
    assert fitting.published_program == "cues"
    assert bpa.load(folder).published_program is None
    assert Network(5, 7, 3).published_program is None


def test_a_file_of_ours_with_an_unknown_program_is_refused(tmp_path):
    bpa.save(tmp_path / "net.safetensors", Network(5, 7, 3))
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        metadata, names = file.metadata(), list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    assert "published_program" not in metadata["network"], "files of other networks stay as they were"
    for program in ("sr", 3, None, ["maze"]):
        described = json.loads(metadata["network"]) | {"published_program": program}
        save_file(tensors, tmp_path / "other.safetensors", metadata | {"network": json.dumps(described)})
        with pytest.raises(ValueError, match=r"other.safetensors .*published_program must be one of"):
            bpa.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("i2h.weight"), "lacks the tensor 'i2h.weight'"),
        (lambda state: state.pop("h2v.bias"), "lacks the tensor 'h2v.bias'"),
        (
            lambda state: state.update(w=torch.zeros(9, 8)),
            r"tensor 'w' has shape \[9, 8\], the network needs \[9, 9\]",
        ),
        (
            lambda state: state.update(w2=torch.zeros(1)),
            "holds the tensor 'w2', which the network does not have",
        ),
        (
            lambda state: state.update({"i2h.weight": torch.zeros(3)}),
            r"'i2h.weight' has shape \[3\], .* needs \[H, I\]",
        ),
        (lambda state: state.update({"h2o.weight": torch.zeros(0, 9)}), r"'h2o.weight' has shape \[0, 9\]"),
        (lambda state: state.update(note="hello"), "does not hold a state_dict"),
        (lambda state: state.update({3: torch.zeros(1)}), "does not hold a state_dict"),
        (lambda state: state.update(w=torch.zeros(9, 9).long()), "tensor 'w' holds torch.int64"),
        (lambda state: state.update(w=torch.zeros(9, 9) + 1j), "tensor 'w' holds torch.complex64"),
        (lambda state: state.update(w=torch.zeros(9, 9).to_sparse()), "tensor 'w' must be dense"),
        (lambda state: state.update(w=torch.zeros(9, 9, device="meta")), "tensor 'w' must be dense"),
        (
            lambda state: state.update({"i2h.weight": torch.zeros(1, 1).expand(10**7, 10**7)}),
            "tensor 'i2h.weight' must be dense, with all its numbers in the file",
        ),
    ],
)
def test_a_file_that_does_not_fit_says_where(tmp_path, change, message):
    state = dict(Network(17, 9, 4).state_dict())
    change(state)
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=message):
        load_published(tmp_path / "net.pt")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"w": Trap()}, tmp_path / "trap.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "folder.pt").mkdir()
    for name in ("trap", "plain", "empty", "text", "folder"):
        with pytest.raises(ValueError, match=f"{name}.pt is not a state_dict file that can be read safely"):
            load_published(tmp_path / f"{name}.pt")
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(ValueError, match="does not exist"):
        load_published(tmp_path / "nowhere.pt")


def test_a_clip_out_of_range_is_refused(tmp_path):
    torch.save(Network(17, 9, 4).state_dict(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match="clip must be a number above 0, got -1"):
        load_published(tmp_path / "net.pt", clip=-1)
