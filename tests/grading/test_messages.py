"""What passes between the judge and a student's process, and what nobody is let through with."""

import io
import json

import numpy as np
import pytest
import torch

from bpa.grading.messages import LENGTHS, Forged, Message, Packer, Unpacker, receive, send
from bpa.maze import GridMaze, draw_noise
from bpa.network import Hidden, Network


def stays(value):
    raise AssertionError(f"{value!r} should travel")


def nothing(kind, rest):
    raise Forged(f"there is no kind {kind!r}")


def there_and_back(value):
    packer, stream = Packer(stays), io.BytesIO()
    send(stream, {"value": packer.pack(value)}, packer.tensors)
    stream.seek(0)
    message = receive(stream)
    return Unpacker(message, nothing).unpack(message.said["value"])


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "x", [1, [2.0, "y"]], (1, (None,)), [], float("inf")])
def test_plain_values_come_back_as_they_were(value):
    assert there_and_back(value) == value


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16])
def test_tensors_keep_numbers_shape_and_kind(dtype):
    for tensor in (
        torch.arange(6).reshape(2, 3).T.to(dtype),
        torch.zeros(0, 2, dtype=dtype),
        torch.tensor(1, dtype=dtype),
    ):
        back = there_and_back(tensor)
        assert torch.equal(back, tensor)
        assert back.dtype == dtype


def test_arrays_records_and_generators_travel():
    back = there_and_back([np.arange(3.0), Hidden(torch.ones(1, 2)), draw_noise(4, 2, torch.Generator())])
    assert isinstance(back[0], np.ndarray)
    assert type(back[1]) is Hidden
    assert back[1].hebb is None
    assert back[2].action.shape == (4, 2)
    generator = np.random.default_rng([3, 4])
    generator.random(5)
    assert there_and_back(generator).random() == generator.random()


def test_a_network_and_a_maze_travel():
    net = Network(3, 5, 2, plasticity="retroactive", clip=1.5, generator=torch.Generator().manual_seed(0))
    back = there_and_back(net.requires_grad_(False))
    assert back.settings() == net.settings()
    assert all(torch.equal(weights, net.state_dict()[name]) for name, weights in back.state_dict().items())
    assert not any(parameter.requires_grad for parameter in back.parameters())
    assert torch.equal(back.modulation(torch.ones(1, 5)), net.modulation(torch.ones(1, 5)))
    maze = there_and_back(GridMaze(7, 3, 20, wall_penalty=0.5))
    assert (maze.size, maze.batch_size, maze.episode_length, maze.wall_penalty) == (7, 3, 20, 0.5)


def framed(text, data=b""):
    return io.BytesIO(LENGTHS.pack(len(text), len(data)) + text + data)


@pytest.mark.parametrize(
    "stream",
    [
        framed(b"[]"),
        framed(b"no json"),
        framed(b"{}", b"no tensors"),
        framed(b"[" * 100_000),
        io.BytesIO(LENGTHS.pack(2**31, 0)),
        framed(b"\x80\x04N."),  # a pickle
    ],
)
def test_bytes_that_are_no_message_are_refused(stream):
    with pytest.raises(Forged):
        receive(stream)


def test_a_message_that_breaks_off_is_an_end():
    for stream in (io.BytesIO(), io.BytesIO(b"\0\0"), io.BytesIO(LENGTHS.pack(9, 0) + b"{}")):
        with pytest.raises(EOFError):
            receive(stream)


NET = Network(2, 3, 2).settings()


@pytest.mark.parametrize(
    "said",
    [
        {},
        ["tensor", 7],
        ["tensor", -1],
        ["tensor", "0"],
        ["tensor"],
        ["function", 0],
        ["record", "Popen", 1],
        ["record", "Hidden"],
        ["network", NET, {}, False],
        ["network", {**NET, "rule": {"function": "f"}}, {}, False],
        ["maze", {"size": 10**9}],
        ["generator", {"bit_generator": "os"}],
        [[], 1],
        [],
    ],
)
def test_values_that_are_none_are_refused(said):
    message = Message(json.loads(json.dumps({"value": said})), [torch.zeros(2)])
    with pytest.raises(Forged):
        Unpacker(message, nothing).unpack(message.said["value"])


def test_what_cannot_travel_stays():
    kept = []

    def keep(value):
        kept.append(value)
        return ["kept", 0]

    for value in (
        {1: 2},
        object(),
        torch.ones(2).to_sparse(),
        torch.ones(2, dtype=torch.complex64),
        [1].sort,
    ):
        packer = Packer(keep)
        assert packer.pack(value) == ["kept", 0]
        assert kept.pop() is value
        assert packer.tensors == []
