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


def masked_too_early(query, key, value, beta):
    scores = torch.einsum("tbi,sbi->tsb", query, key).tril()
    return torch.einsum("tsb,sb,sbv->tbv", scores, beta, value)


def episodes_mixed(query, key, value, beta):
    scores = torch.einsum("tbi,sbi->ts", query, key).tril()
    return torch.einsum("ts,sb,sbv->tbv", scores, beta, value)


def shares(query, key, value, beta):
    scores = torch.einsum("tbi,sbi,sb->bts", query, key, beta).tril()
    return torch.einsum("bts,sbv->tbv", scores / scores.sum(2, keepdim=True), value)


def of_length_one(query, key, value, beta):
    return attend(query / query.norm(dim=2, keepdim=True), key / key.norm(dim=2, keepdim=True), value, beta)


def delta_answers(query, key, value, beta):
    ones = torch.ones(query.shape[1])
    fast, answers = torch.zeros(*query.shape[1:], value.shape[2]), []
    for t in range(len(query)):
        fast = gated(fast, key[t], value[t], beta[t], ones)
        answers.append((query[t][:, None] @ fast)[:, 0])
    return torch.stack(answers)


def correction(f, k, v, b, g):
    """What gated DeltaNet writes, [B, H, V]."""
    stored = torch.einsum("bi,bij->bj", k, g[:, None, None] * f)
    return torch.einsum("b,bi,bj->bij", b, k, v - stored)


def full_value(f, k, v, b, g):
    stored = torch.einsum("bi,bij->bj", k, g[:, None, None] * f)
    return g[:, None, None] * f + torch.einsum("bi,bj->bij", k, v - b[:, None] * stored)


def mask_of_sums(gamma):
    T = len(gamma)
    return torch.tensor(
        [[sum(gamma[s + 1 : t + 1].tolist()) if s <= t else 0.0 for s in range(T)] for t in range(T)]
    )


def solved(system, key, value, beta):
    return torch.linalg.solve(system, beta[:, None] * value)


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
    (chapter_14.attend, masked_too_early, "wrong axes"),
    (chapter_14.attend, episodes_mixed, "summed over the episodes"),
    (chapter_14.attend, lambda q, k, v, b: attend(q / q.shape[2] ** 0.5, k, v, b), "root of H"),
    (chapter_14.attend, shares, "sum of the scores"),
    (chapter_14.attend, of_length_one, "scaled to length 1"),
    (chapter_14.attend, lambda q, k, v, b: attend(b[:, :, None] * q, k, v, b), "The first is enough"),
    (chapter_14.attend, delta_answers, "This is the delta rule"),
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
    (chapter_14.gated_delta_step, lambda f, *rest: f + correction(f, *rest), "has not faded"),
    (chapter_14.gated_delta_step, correction, "only what is written"),
    (chapter_14.gated_delta_step, lambda f, k, v, b, g: gated(f, k, v, b, 1 - g), "how much is kept"),
    (
        chapter_14.gated_delta_step,
        lambda f, k, v, b, g: gated(f, k / k.norm(dim=1, keepdim=True), v, b, g),
        "scaled to length 1",
    ),
    (
        chapter_14.gated_delta_step,
        lambda f, k, v, b, g: (b * g)[:, None, None] * f + correction(f, k, v, b, g),
        "weighs the old memory too",
    ),
    (chapter_14.gated_delta_step, full_value, "and not the value"),
    (chapter_14.retention_mask, mask_faded_at_once, "faded at that very step"),
    (chapter_14.retention_mask, mask_without_last, "One gate is missing"),
    (chapter_14.retention_mask, lambda g: powers(g[:, None], len(g)), "last gate to a power"),
    (chapter_14.retention_mask, lambda g: powers(g[None, :], len(g)), "writing step to a power"),
    (chapter_14.retention_mask, lambda g: mask_by_rows(g).T, "Rows and columns are swapped"),
    (chapter_14.retention_mask, mask_by_quotients, "not finite"),
    (chapter_14.retention_mask, lambda g: torch.ones(len(g), len(g)).tril(), "largest difference"),
    (chapter_14.retention_mask, mask_of_sums, "You add the gates"),
    (chapter_14.retention_mask, lambda g: mask_by_rows(1 - g), "how much is kept"),
    (chapter_14.retention_mask, lambda g: mask_by_rows(g) - torch.eye(len(g)), "diagonal should be 1"),
    (
        chapter_14.retention_mask,
        lambda g: torch.where(torch.ones(len(g), len(g)).triu(1) > 0, 1.0, mask_by_rows(g)),
        "written nothing yet",
    ),
    (
        chapter_14.retention_mask,
        lambda g: g.cumprod(0).repeat(len(g), 1).T.tril(),
        "all gates from the first on",
    ),
    (
        chapter_14.retention_mask,
        lambda g: torch.eye(len(g)) + g.repeat(len(g), 1).T.tril(-1),
        "last gate alone",
    ),
    (chapter_14.written_values, lambda k, v, b: b[:, None] * v, "nothing is taken out"),
    (
        chapter_14.written_values,
        lambda k, v, b: torch.linalg.solve_triangular(
            torch.eye(len(k)) + torch.diag(b) @ (k @ k.T).tril(-1), torch.diag(b) @ v, upper=True
        ),
        "upper=True",
    ),
    (chapter_14.written_values, lambda k, v, b: written(k, v, b) / b[:, None], "Beta times that"),
    (
        chapter_14.written_values,
        lambda k, v, b: solved((torch.diag(b) @ k @ k.T).tril(), k, v, b),
        "1 on the diagonal",
    ),
    (
        chapter_14.written_values,
        lambda k, v, b: solved(torch.eye(len(k)) + (torch.diag(b) @ k @ k.T).triu(1), k, v, b),
        "looks into the future. ",
    ),
    (
        chapter_14.written_values,
        lambda k, v, b: solved(torch.eye(len(k)) + torch.diag(b) @ k @ k.T, k, v, b),
        "looks into the future too",
    ),
    (chapter_14.written_values, one_correction, "rows of U"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, b, b**0), "side of the values"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, b**0, b), "Beta is missing in the system"),
    (chapter_14.written_values, column_beta, "belongs to the row"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, b, b, 0), "counted twice"),
    (chapter_14.written_values, lambda k, v, b: written_with(k, v, -b, b), "sign is turned round"),
    (chapter_14.written_values, lambda k, v, b: v, "largest difference"),
]
