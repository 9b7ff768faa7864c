"""Chapter 1: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch

from bpa.checks import chapter_01


def completed_by_loops(hebb, cue):
    filled = []
    for j in range(len(cue)):
        arriving = sum(float(cue[i]) * float(hebb[i, j]) for i in range(len(cue)))
        filled.append(float(cue[j]) if cue[j] != 0 else (1.0 if arriving > 0 else -1.0))
    return filled


def oja(seen, y, w, eta):
    return w + eta * y * (seen - y * w)


def second_neuron(x, v1, v2, eta):
    projector = torch.eye(len(x)) - torch.outer(v1, v1)
    seen = projector @ x
    y2 = torch.dot(v2, seen)
    return (1 - eta * y2**2) * v2 + eta * y2 * seen


RIGHT = [
    (chapter_01.associate, lambda pre, post: pre.T @ post / pre.shape[1]),
    (
        chapter_01.associate,
        lambda pre, post: sum(torch.outer(a, b) for a, b in zip(pre, post, strict=True)) / len(pre[0]),
    ),
    (chapter_01.associate, lambda pre, post: np.einsum("ki,kj->ij", pre, post) / pre.shape[1]),
    (chapter_01.complete, completed_by_loops),
    (chapter_01.complete, lambda hebb, cue: cue + (cue == 0) * torch.sign(hebb.T @ cue)),
    (
        chapter_01.complete,
        lambda hebb, cue: torch.where(cue != 0, cue, torch.einsum("i,ij->j", cue, hebb).sign()),
    ),
    (
        chapter_01.soft_clip,
        lambda hebb, increment, clip: (
            hebb + increment.relu() * (clip - hebb) / clip - (-increment).relu() * (clip + hebb) / clip
        ),
    ),
    (chapter_01.soft_clip, lambda hebb, increment, clip: hebb + increment - increment.abs() * hebb / clip),
    (chapter_01.second_neuron_step, second_neuron),
    (
        chapter_01.second_neuron_step,
        lambda x, v1, v2, eta: oja(x - v1 * (v1 * x).sum(), v2 @ (x - v1 * (v1 @ x)), v2, eta),
    ),
]


WRONG = [
    (chapter_01.associate, lambda pre, post: post.T @ pre / pre.shape[1], "Rows and columns are swapped"),
    (chapter_01.associate, lambda pre, post: pre.T @ post, "not divided by N"),
    (chapter_01.associate, lambda pre, post: pre.T @ post / len(pre), "divide by K"),
    (chapter_01.associate, lambda pre, post: pre.T @ post / post.shape[1], "number of post-synaptic"),
    (chapter_01.associate, lambda pre, post: torch.outer(pre[-1], post[-1]) / pre.shape[1], "last pair only"),
    (chapter_01.associate, lambda pre, post: torch.outer(pre[0], post[0]) / pre.shape[1], "inside the loop"),
    (chapter_01.associate, lambda pre, post: pre[1:].T @ post[1:] / pre.shape[1], "first pair is missing"),
    (chapter_01.associate, lambda pre, post: pre[:-1].T @ post[:-1] / pre.shape[1], "last pair is missing"),
    (chapter_01.associate, lambda pre, post: -pre.T @ post / pre.shape[1], "sign is turned round"),
    (
        chapter_01.associate,
        lambda pre, post: torch.einsum("ki,kj->kij", pre, post) / pre.shape[1],
        "Its shape is",
    ),
    (chapter_01.complete, lambda hebb, cue: (cue @ hebb).sign(), "Known pixels must stay"),
    (chapter_01.complete, lambda hebb, cue: cue + (cue == 0) * (cue @ hebb), "Take the sign"),
    (
        chapter_01.complete,
        lambda hebb, cue: cue + (cue == 0) * (hebb @ cue).sign(),
        "Rows and columns are swapped",
    ),
    (chapter_01.complete, lambda hebb, cue: cue - (cue == 0) * (cue @ hebb).sign(), "turned round"),
    (chapter_01.complete, lambda hebb, cue: (cue != 0) * (cue @ hebb).sign(), "leave the unknown"),
    (chapter_01.complete, lambda hebb, cue: cue, "largest difference"),
    (
        chapter_01.complete,
        lambda hebb, cue: cue.copy_(cue + (cue == 0) * (cue @ hebb).sign()),
        "changes its arguments",
    ),
    (chapter_01.soft_clip, lambda hebb, increment, clip: (hebb + increment).clamp(-clip, clip), "hard clip"),
    (
        chapter_01.soft_clip,
        lambda hebb, increment, clip: hebb + increment + increment.abs() * hebb / clip,
        "swapped",
    ),
    (
        chapter_01.soft_clip,
        lambda hebb, increment, clip: hebb + increment * (1 - hebb.abs() / clip),
        "full speed",
    ),
    (
        chapter_01.soft_clip,
        lambda hebb, increment, clip: hebb + increment * (1 - hebb / clip),
        "Both directions",
    ),
    (
        chapter_01.soft_clip,
        lambda hebb, increment, clip: hebb + increment - increment.abs() * hebb,
        "bound is missing",
    ),
    (
        chapter_01.soft_clip,
        lambda hebb, increment, clip: increment - increment.abs() * hebb / clip,
        "Add it to Hebb",
    ),
    (chapter_01.soft_clip, lambda hebb, increment, clip: hebb + increment, "largest difference"),
    (chapter_01.second_neuron_step, lambda x, v1, v2, eta: oja(x, v2 @ x, v2, eta), "sees all of x"),
    (
        chapter_01.second_neuron_step,
        lambda x, v1, v2, eta: oja(x + (v1 @ x) * v1, v2 @ (x + (v1 @ x) * v1), v2, eta),
        "Take it away",
    ),
    (
        chapter_01.second_neuron_step,
        lambda x, v1, v2, eta: oja(x - (v1 @ x) * v1, v2 @ x, v2, eta),
        "not from x itself",
    ),
    (
        chapter_01.second_neuron_step,
        lambda x, v1, v2, eta: oja(x - (v1 @ x) * v1, v1 @ x, v2, eta),
        "You use y1",
    ),
    (
        chapter_01.second_neuron_step,
        lambda x, v1, v2, eta: v2 + eta * (v2 @ (x - (v1 @ x) * v1)) * (x - (v1 @ x) * v1),
        "forgetting term is missing",
    ),
    (
        chapter_01.second_neuron_step,
        lambda x, v1, v2, eta: second_neuron(x, v1, v2, eta) - v2,
        "Add it to v2",
    ),
    (
        chapter_01.second_neuron_step,
        lambda x, v1, v2, eta: second_neuron(x, v1, v2, -eta),
        "largest difference",
    ),
]
