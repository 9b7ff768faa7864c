"""Chapter 4: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch
from sklearn.linear_model import Ridge

from bpa.checks import chapter_04


def hidden_by_slices(pictures, half, cut=None):
    pictures = pictures.clone()
    n = pictures.shape[1] // 2 if cut is None else cut
    rows, columns = {
        "top": (slice(n), slice(None)),
        "bottom": (slice(n, None), slice(None)),
        "left": (slice(None), slice(n)),
        "right": (slice(None), slice(n, None)),
    }[half]
    pictures[:, rows, columns] = 0
    return pictures


def hidden_by_coordinates(pictures, half):
    S = pictures.shape[1]
    row, column = torch.meshgrid(torch.arange(S), torch.arange(S), indexing="ij")
    place = {"top": row, "bottom": S - 1 - row, "left": column, "right": S - 1 - column}[half]
    return pictures * (place >= S // 2)


OTHER = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
MIRROR = {"top": "left", "left": "top", "bottom": "right", "right": "bottom"}


def nearest_by_loops(shown, cue, hidden, known=lambda hidden: ~hidden, pick=min, size=lambda gap: gap**2):
    results = []
    for b in range(shown.shape[1]):
        where = known(hidden[b])

        def gap(picture, b=b, where=where):
            return abs(size((picture - cue[b])[where]).sum().item())

        results.append(pick(shown[:, b], key=gap))
    return torch.stack(results)


def nearest_by_product(shown, cue, hidden):
    """|a - b|^2 = |a|^2 - 2 a b + |b|^2, of which the last is the same for all."""
    known = (~hidden).to(shown.dtype)
    score = torch.einsum("nbp,bp->nb", shown**2, known) - 2 * torch.einsum("nbp,bp->nb", shown, cue * known)
    chosen = torch.nn.functional.one_hot(score.argmin(0), len(shown)).T.to(shown.dtype)
    return torch.einsum("nb,nbp->bp", chosen, shown)


def hidden_by_numpy(pictures, half):
    """A list of arrays, one for each picture."""
    turns = ("top", "right", "bottom", "left").index(half)
    results = []
    for picture in pictures.numpy():
        turned = np.rot90(picture, turns).copy()
        turned[: len(turned) // 2] = 0
        results.append(np.rot90(turned, -turns).copy())
    return results


def nearest_by_numpy(shown, cue, hidden):
    known = ~hidden.numpy()
    gaps = (((shown.numpy() - cue.numpy()) * known) ** 2).sum(-1)
    return np.take_along_axis(shown.numpy(), gaps.argmin(0)[None, :, None], axis=0)[0]


def ridge_of_scikit_learn(x, y, penalty):
    return Ridge(alpha=penalty, fit_intercept=False).fit(x.numpy(), y.numpy()).coef_.T


def ridge_by_inverse(x, y, penalty):
    return torch.inverse(x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)) @ x.T @ y


def ridge_by_descent(x, y, penalty):
    weights = torch.zeros(x.shape[1], y.shape[1], dtype=x.dtype)
    rate = 1 / (torch.linalg.matrix_norm(x, 2) ** 2 + penalty)
    for _ in range(3000):
        weights = weights - rate * (x.T @ (x @ weights - y) + penalty * weights)
    return weights


RIGHT = [
    (chapter_04.hide_half, hidden_by_slices),
    (chapter_04.hide_half, hidden_by_coordinates),
    (chapter_04.hide_half, hidden_by_numpy),
    (chapter_04.nearest_picture, nearest_by_loops),
    (chapter_04.nearest_picture, nearest_by_numpy),
    (chapter_04.nearest_picture, nearest_by_product),
    (chapter_04.ridge, ridge_by_inverse),
    (chapter_04.ridge, ridge_by_descent),
    (chapter_04.ridge, ridge_of_scikit_learn),
]


WRONG = [
    (chapter_04.hide_half, lambda p, half: hidden_by_slices(p, OTHER[half]), "the other half"),
    (chapter_04.hide_half, lambda p, half: hidden_by_slices(p, MIRROR[half]), "Rows and columns"),
    (chapter_04.hide_half, lambda p, half: p, "Nothing is hidden"),
    (chapter_04.hide_half, lambda p, half: hidden_by_slices(p, half, cut=1), "largest difference"),
    (
        chapter_04.hide_half,
        lambda p, half: hidden_by_slices(p, half, p.shape[1] // 2 + (-1 if half in ("top", "left") else 1)),
        "too few is hidden",
    ),
    (
        chapter_04.hide_half,
        lambda p, half: hidden_by_slices(p, half, p.shape[1] // 2 + (1 if half in ("top", "left") else -1)),
        "too many is hidden",
    ),
    (chapter_04.hide_half, lambda p, half: p.mul_(0), "changes its arguments"),
    (
        chapter_04.nearest_picture,
        lambda *a: nearest_by_loops(*a, known=lambda hidden: hidden == hidden),
        "hidden half too",
    ),
    (chapter_04.nearest_picture, lambda *a: nearest_by_loops(*a, known=lambda hidden: hidden), "wrong way"),
    (chapter_04.nearest_picture, lambda *a: nearest_by_loops(*a, pick=max), "least like"),
    (
        chapter_04.nearest_picture,
        lambda s, c, h: torch.where(h, nearest_by_loops(s, c, h), c),
        "shown picture itself",
    ),
    (chapter_04.nearest_picture, lambda s, c, h: s.sum(0) / len(s), "Choose one"),
    (
        chapter_04.nearest_picture,
        lambda *a: nearest_by_loops(*a, size=lambda gap: gap),
        "cancel",
    ),
    (
        chapter_04.nearest_picture,
        lambda s, c, h: (s - c).masked_fill(h, 0).pow(2).sum(2).min(0).indices,
        "number of the picture",
    ),
    (
        chapter_04.nearest_picture,
        lambda s, c, h: torch.stack(
            [s[torch.einsum("kn,n->k", s[:, b], c[b]).argmax(), b] for b in range(len(c))]
        ),
        "largest product",
    ),
    (chapter_04.nearest_picture, lambda s, c, h: s[0] * 0, "largest difference"),
    (chapter_04.ridge, lambda x, y, p: torch.linalg.pinv(x) @ y, "penalty is missing"),
    (chapter_04.ridge, lambda x, y, p: torch.linalg.solve(x.T @ x, x.T @ y), "penalty is missing"),
    (chapter_04.ridge, lambda x, y, p: torch.linalg.pinv(x.T @ x + p) @ x.T @ y, "diagonal alone"),
    (chapter_04.ridge, lambda x, y, p: ridge_by_inverse(x, y, p * p), "squared|difference"),
    (chapter_04.ridge, lambda x, y, p: ridge_by_inverse(x, y, -p), "wrong sign"),
    (
        chapter_04.ridge,
        lambda x, y, p: torch.linalg.solve(
            x.T @ x / len(x) + p * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y / len(x)
        ),
        "means over the rows",
    ),
    (chapter_04.ridge, lambda x, y, p: x @ ridge_by_inverse(x, y, p), "Return W"),
    (chapter_04.ridge, lambda x, y, p: ridge_by_inverse(x, y, p).T, "transposed"),
    (chapter_04.ridge, lambda x, y, p: 2 * ridge_by_inverse(x, y, p), "largest difference"),
]
