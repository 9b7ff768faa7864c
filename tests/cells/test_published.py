"""Published weights are loaded, and whatever else comes is named and refused without being run."""

import pickle

import pytest
import torch

from bpa import Network
from bpa.cells.published import load_published

VARIANTS = [
    {"plasticity": "none"},
    {"plasticity": "plastic", "alpha": "neuron"},
    {"plasticity": "simple"},
    {"plasticity": "simple", "fanout": False, "alpha": "network"},
    {"plasticity": "retroactive"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(map(str, variant.values())))
def test_a_state_dict_comes_back_as_the_network_that_saved_it(tmp_path, variant):
    net = Network(17, 9, 4, generator=torch.Generator().manual_seed(0), **variant)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    loaded = load_published(tmp_path / "net.pt", clip=1.0)
    assert loaded.clip == 1.0
    assert loaded.plasticity == variant["plasticity"]
    xs = torch.randn(8, 2, 17, generator=torch.Generator().manual_seed(1))
    net.clip = 1.0
    assert torch.equal(loaded.unroll(xs, engine="eager").logits, net.unroll(xs, engine="eager").logits)


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
        (lambda state: state.update(note="hello"), "does not hold a state_dict"),
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
