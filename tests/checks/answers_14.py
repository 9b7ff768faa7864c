"""Chapter 14: right answers, each written another way, and typical wrong ones with the hint they get."""

import torch

from bpa.checks import chapter_14


def attend(query, key, value, beta, mask=torch.tril):
    scores = torch.einsum("tbi,sbi->bts", query, key)
    return torch.einsum("bts,sb,sbv->tbv", mask(scores), beta, value)


def attend_by_cumulated_memories(query, key, value, beta):
    memories = torch.einsum("tb,tbi,tbv->tbiv", beta, key, value).cumsum(0)
    return (query[:, :, None] @ memories)[:, :, 0]


def attend_one_by_one(query, key, value, beta):
    T, B, _ = query.shape
    answers = torch.zeros(T, B, value.shape[2])
    for t in range(T):
        for b in range(B):
            for s in range(t + 1):
                answers[t, b] += beta[s, b] * query[t, b].dot(key[s, b]) * value[s, b]
    return answers


def asked_after_beta(query, key, value, beta):
    return beta[:, :, None] * attend(query, key, value, torch.ones_like(beta))


def softmaxed(query, key, value, beta):
    future = torch.ones(len(query), len(query)).triu(1).bool()
    return attend(query, key, value, beta, lambda scores: scores.masked_fill(future, -1e9).softmax(2))


def gated(fast, key, value, beta, gamma):
    B, H, _ = fast.shape
    after = torch.zeros_like(fast)
    for b in range(B):
        erase = torch.eye(H) - beta[b] * torch.outer(key[b], key[b])
        after[b] = erase @ (gamma[b] * fast[b]) + beta[b] * torch.outer(key[b], value[b])
    return after


def gated_by_gradient(fast, key, value, beta, gamma):
    faded = (gamma[:, None, None] * fast).requires_grad_()
    error = 0.5 * (value - torch.einsum("bi,bij->bj", key, faded)).square().sum()
    (gradient,) = torch.autograd.grad(error, faded)
    return (faded - beta[:, None, None] * gradient).detach()


def fresh_erase(f, k, v, b, g):
    stored = torch.einsum("bi,bij->bj", k, f)
    return g[:, None, None] * f + torch.einsum("b,bi,bj->bij", b, k, v - stored)


def sum_write(f, k, v, b, g):
    return g[:, None, None] * f + torch.einsum("b,bi,bj->bij", b, k, v)


def all_faded(f, k, v, b, g):
    return g[:, None, None] * gated(f, k, v, b, torch.ones_like(g))


def mask_by_rows(gamma):
    mask = torch.eye(len(gamma))
    for t in range(1, len(gamma)):
        mask[t, :t] = gamma[t] * mask[t - 1, :t]
    return mask


def mask_in_numpy(gamma):
    gates = gamma.double().numpy()
    return [[gates[s + 1 : t + 1].prod() * (s <= t) for s in range(len(gates))] for t in range(len(gates))]


def mask_by_products(gamma):
    T = len(gamma)
    return torch.tensor(
        [[gamma[s + 1 : t + 1].prod() if s <= t else 0.0 for s in range(T)] for t in range(T)]
    )


def mask_faded_at_once(gamma):
    return mask_by_rows(gamma) * gamma[None, :]


def mask_without_last(gamma):
    T = len(gamma)
    return torch.tensor([[gamma[s + 1 : t].prod() if s <= t else 0.0 for s in range(T)] for t in range(T)])


def powers(base, length):
    ages = torch.arange(length)[:, None] - torch.arange(length)
    return torch.where(ages >= 0, base ** ages.clamp(min=0), torch.zeros(()))


def mask_by_quotients(gamma):
    """Cumulative products divided by one another: right until a gate is shut."""
    product = gamma.cumprod(0)
    return (product[:, None] / product[None, :]).tril()


def written(key, value, beta):
    system = torch.eye(len(key)) + torch.diag(beta) @ (key @ key.T).tril(-1)
    return torch.linalg.solve_triangular(system, torch.diag(beta) @ value, upper=False)


def written_row_by_row(key, value, beta):
    rows = torch.zeros_like(value)
    for t in range(len(key)):
        rows[t] = beta[t] * (value[t] - (key[t] @ key[:t].T) @ rows[:t])
    return rows


def written_with(key, value, left, right, diagonal=-1):
    system = torch.eye(len(key)) + torch.diag(left) @ (key @ key.T).tril(diagonal)
    return torch.linalg.inv(system) @ torch.diag(right) @ value


def column_beta(key, value, beta):
    system = torch.eye(len(key)) + (key @ key.T).tril(-1) @ torch.diag(beta)
    return torch.linalg.inv(system) @ torch.diag(beta) @ value


def one_correction(key, value, beta):
    plain = beta[:, None] * value
    return plain - beta[:, None] * ((key @ key.T).tril(-1) @ plain)


RIGHT = [
    (chapter_14.attend, attend),
    (chapter_14.attend, attend_by_cumulated_memories),
    (chapter_14.attend, attend_one_by_one),
    (chapter_14.gated_delta_step, gated),
    (chapter_14.gated_delta_step, gated_by_gradient),
    (chapter_14.retention_mask, mask_by_rows),
    (chapter_14.retention_mask, mask_by_products),
    (chapter_14.written_values, written),
    (chapter_14.written_values, written_row_by_row),
    (chapter_14.attend, lambda *a: attend(*(part.double() for part in a)).numpy()),
    (chapter_14.gated_delta_step, lambda *a: list(gated(*a))),
    (chapter_14.retention_mask, mask_in_numpy),
    (chapter_14.written_values, lambda k, v, b: written(k, v, b).tolist()),
]


WRONG = [
    (chapter_14.attend, lambda *a: attend(*a, mask=lambda s: s), "mask is missing"),
    (chapter_14.attend, lambda *a: attend(*a, mask=lambda s: s.tril(-1)), "Keep the diagonal"),
    (chapter_14.attend, asked_after_beta, "step that writes"),
    (chapter_14.attend, lambda q, k, v, b: attend(q, k, v, b**0), "Beta is missing"),
    (chapter_14.attend, lambda q, k, v, b: attend(k, q, v, b), "Queries and keys are swapped"),
    (chapter_14.attend, lambda *a: attend(*a, mask=torch.triu), "only the future"),
    (chapter_14.attend, softmaxed, "softmax left"),
    (chapter_14.attend, lambda *a: attend(*a).transpose(0, 1), "Its shape is|largest difference"),
    (chapter_14.gated_delta_step, fresh_erase, "before it has faded"),
    (chapter_14.gated_delta_step, sum_write, "Nothing is taken out"),
    (chapter_14.gated_delta_step, lambda f, k, v, b, g: gated(f, k, v, b, g**0), "Gamma is missing"),
    (chapter_14.gated_delta_step, lambda f, k, v, b, g: gated(f, k, v, b**0, g), "Beta is missing"),
    (chapter_14.gated_delta_step, lambda f, k, v, b, g: gated(f, k, v, g, b), "Beta and gamma are swapped"),
    (chapter_14.gated_delta_step, all_faded, "fades the new write too"),
    (
        chapter_14.gated_delta_step,
        lambda f, k, v, b, g: gated(f, k, b[:, None] * v, b**0, g),
        "weighs the value alone",
    ),
    (
        chapter_14.gated_delta_step,
        lambda f, k, v, b, g: g[:, None, None] * f + (g[:, None, None] * f - gated(f, k, v, b, g)),
        "sign of what is missing",
    ),
    (chapter_14.gated_delta_step, lambda f, k, v, b, g: f, "largest difference"),
    (chapter_14.retention_mask, mask_faded_at_once, "faded at that very step"),
    (chapter_14.retention_mask, mask_without_last, "One gate is missing"),
    (chapter_14.retention_mask, lambda g: powers(g[:, None], len(g)), "last gate to a power"),
    (chapter_14.retention_mask, lambda g: powers(g[None, :], len(g)), "writing step to a power"),
    (chapter_14.retention_mask, lambda g: mask_by_rows(g).T, "Rows and columns are swapped"),
    (chapter_14.retention_mask, mask_by_quotients, "not finite"),
    (chapter_14.retention_mask, lambda g: torch.ones(len(g), len(g)).tril(), "largest difference"),
    (chapter_14.written_values, lambda k, v, b: b[:, None] * v, "nothing is taken out"),
    (chapter_14.written_values, one_correction, "rows of U"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, b, b**0), "side of the values"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, b**0, b), "Beta is missing in the system"),
    (chapter_14.written_values, column_beta, "belongs to the row"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, b, b, 0), "counted twice"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, -b, b), "sign is turned round"),
    (chapter_14.written_values, lambda k, v, b: v, "largest difference"),
]
