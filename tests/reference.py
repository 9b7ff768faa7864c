"""The equations of both papers as plain loops over Python floats: slow, and independent of bpa.

Shapes as in the book: nested lists, row i pre-synaptic, column j post-synaptic. One episode at a time.
"""

from __future__ import annotations

import math


def to_lists(net) -> dict:
    """The parameters of a bpa network, by name, as nested lists of Python floats."""
    return {name: tensor.double().tolist() for name, tensor in net.state_dict().items()}


def linear(p, name, x):
    """weight x + bias, row by row."""
    weight, bias = p[name + ".weight"], p[name + ".bias"]
    return [bias[k] + sum(weight[k][n] * x[n] for n in range(len(x))) for k in range(len(weight))]


def alpha_at(p, i, j):
    """alpha_ij, whatever its granularity."""
    alpha = p["alpha"]
    if not isinstance(alpha[0], list):
        return alpha[0]
    return alpha[0][j] if len(alpha) == 1 else alpha[i][j]


def clip_to(value, increment, clip, clipping):
    """Clip( value + increment )"""
    if clipping == "hard":
        return min(max(value + increment, -clip), clip)
    room = 1 - value / clip if increment > 0 else 1 + value / clip
    return value + increment * room


def squash(kind, m):
    """The modulator's nonlinearity."""
    return {"tanh": math.tanh(m), "sigmoid": 1 / (1 + math.exp(-m)), "linear": m}[kind]


def network_step(p, kind, x, h, hebb, eligibility):
    """One step of one episode.

    kind: plasticity, rule, clip, clipping, modulator, fanout.
    Returns logits, value, modulation, h, hebb, eligibility; parts that do not exist are None.
    """
    H = range(len(h))
    drive = linear(p, "i2h", x)
    new = []
    for j in H:
        total = drive[j]
        for i in H:
            connection = p["w"][i][j]
            if hebb is not None:
                connection += alpha_at(p, i, j) * hebb[i][j]
            total += connection * h[i]
        new.append(math.tanh(total))

    modulation = None
    gain = [p["eta"][0]] * len(h) if kind["plasticity"] == "plastic" else None
    if kind["plasticity"] in ("simple", "retroactive"):
        modulation = squash(kind["modulator"], linear(p, "h2mod", new)[0])
        gain = [modulation] * len(h)
        if kind["fanout"]:
            gain = [p["modfanout.weight"][j][0] * modulation + p["modfanout.bias"][j] for j in H]

    if hebb is not None:
        old = hebb
        hebb = [[0.0] * len(h) for _ in H]
        for i in H:
            for j in H:
                both = h[i] * new[j]
                if kind["rule"] == "decay":
                    hebb[i][j] = (1 - gain[j]) * old[i][j] + gain[j] * both
                elif kind["rule"] == "oja":
                    hebb[i][j] = old[i][j] + gain[j] * new[j] * (h[i] - new[j] * old[i][j])
                elif eligibility is not None:
                    hebb[i][j] = clip_to(
                        old[i][j], gain[j] * eligibility[i][j], kind["clip"], kind["clipping"]
                    )
                else:
                    hebb[i][j] = clip_to(old[i][j], gain[j] * both, kind["clip"], kind["clipping"])
    if eligibility is not None:
        eta = p["eta"][0]
        eligibility = [[(1 - eta) * eligibility[i][j] + eta * h[i] * new[j] for j in H] for i in H]
    logits, value = linear(p, "h2o", new), linear(p, "h2v", new)[0]
    return logits, value, modulation, new, hebb, eligibility


def lstm_step(p, kind, x, h, cell, hebb, eligibility):
    """One step of one episode of a plastic LSTM. Returns h, cell, hebb, eligibility."""
    size = len(h)
    H = range(size)
    drive = linear(p, "i2h", x)
    summed = [drive[k] + sum(p["w"][i][k] * h[i] for i in H) for k in range(4 * size)]
    gates = [[1 / (1 + math.exp(-summed[gate * size + j])) for j in H] for gate in range(3)]
    candidate = []
    for j in H:
        total = summed[3 * size + j]
        if hebb is not None:
            total += sum(alpha_at(p, i, j) * hebb[i][j] * h[i] for i in H)
        candidate.append(math.tanh(total))
    new_cell = [gates[1][j] * cell[j] + gates[0][j] * candidate[j] for j in H]
    new = [gates[2][j] * math.tanh(new_cell[j]) for j in H]
    if hebb is None:
        return new, new_cell, None, None
    gain = [p["eta"][0]] * size if kind["plasticity"] == "plastic" else None
    if gain is None:
        modulation = squash(kind["modulator"], linear(p, "h2mod", new)[0])
        gain = [modulation] * size
        if kind["fanout"]:
            gain = [p["modfanout.weight"][j][0] * modulation + p["modfanout.bias"][j] for j in H]
    both = [[h[i] * candidate[j] for j in H] for i in H]
    written = both if eligibility is None else eligibility
    hebb = [
        [clip_to(hebb[i][j], gain[j] * written[i][j], kind["clip"], kind["clipping"]) for j in H] for i in H
    ]
    if eligibility is not None:
        eta = p["eta"][0]
        eligibility = [[(1 - eta) * eligibility[i][j] + eta * both[i][j] for j in H] for i in H]
    return new, new_cell, hebb, eligibility


def fast_weight_step(p, writing, gated, x, fast):
    """One step of one episode of a fast-weight cell. Returns h and the fast weights."""
    size = len(fast)
    H = range(size)
    drive = linear(p, "i2h", x)

    def unit(vector):
        length = math.sqrt(sum(v * v for v in vector))
        return [v / length for v in vector]

    query, key, value = unit(drive[:size]), unit(drive[size : 2 * size]), drive[2 * size : 3 * size]
    beta = 1 / (1 + math.exp(-drive[3 * size]))
    keep = 1 / (1 + math.exp(-drive[3 * size + 1])) if gated else 1.0
    new = [[0.0] * size for _ in H]
    for j in H:
        stored = sum(key[i] * keep * fast[i][j] for i in H) if writing == "delta" else 0.0
        for i in H:
            new[i][j] = keep * fast[i][j] + beta * key[i] * (value[j] - stored)
    return [sum(query[i] * new[i][j] for i in H) for j in H], new


def network_step_backward(p, kind, x, y, modulation, hebb, eligibility, dy, dhebb, deligibility, grads):
    """One step of the appendix "The backward pass, derived", in its order and with its letters.

    x, y: activity before and after the step. hebb, eligibility: traces before it. dy, dhebb, deligibility:
    derivatives by the activity and the traces after it. Adds to `grads`, by parameter name ("drive" too).
    Returns the derivatives by x and by the traces before the step.
    """
    H = range(len(x))
    eta = p["eta"][0] if "eta" in p else None
    modulated = kind["plasticity"] in ("simple", "retroactive")
    if not modulated:
        rho = [eta] * len(x)
    elif kind["fanout"]:
        rho = [p["modfanout.weight"][j][0] * modulation + p["modfanout.bias"][j] for j in H]
    else:
        rho = [modulation] * len(x)

    dy, dx = list(dy), [0.0] * len(x)
    dsum = [[0.0] * len(x) for _ in H]
    dproduct = [[0.0] * len(x) for _ in H]
    dbefore = None if eligibility is None else [[0.0] * len(x) for _ in H]
    drho = [0.0] * len(x)
    for i in H:
        for j in H:
            written = x[i] * y[j] if eligibility is None else eligibility[i][j]
            if abs(hebb[i][j] + rho[j] * written) <= kind["clip"]:
                dsum[i][j] = dhebb[i][j]
            drho[j] += dsum[i][j] * written
            if eligibility is None:
                dproduct[i][j] = rho[j] * dsum[i][j]
            else:
                dproduct[i][j] = eta * deligibility[i][j]
                dbefore[i][j] = rho[j] * dsum[i][j] + (1 - eta) * deligibility[i][j]
                grads["eta"][0] += deligibility[i][j] * (x[i] * y[j] - eligibility[i][j])
    for i in H:
        for j in H:
            dx[i] += dproduct[i][j] * y[j]
            dy[j] += dproduct[i][j] * x[i]
    if not modulated:
        grads["eta"][0] += sum(drho)
    else:
        fan = [p["modfanout.weight"][j][0] if kind["fanout"] else 1.0 for j in H]
        if kind["fanout"]:
            for j in H:
                grads["modfanout.weight"][j][0] += drho[j] * modulation
                grads["modfanout.bias"][j] += drho[j]
        dm = sum(drho[j] * fan[j] for j in H) * (1 - modulation**2)
        grads["h2mod.bias"][0] += dm
        for j in H:
            grads["h2mod.weight"][0][j] += dm * y[j]
            dy[j] += dm * p["h2mod.weight"][0][j]
    da = [dy[j] * (1 - y[j] ** 2) for j in H]
    for j in H:
        grads["i2h.bias"][j] += da[j]
        for i in H:
            grads["w"][i][j] += da[j] * x[i]
            grads["alpha"][i][j] += da[j] * hebb[i][j] * x[i]
            dx[i] += da[j] * (p["w"][i][j] + p["alpha"][i][j] * hebb[i][j])
    dhebb = [[dsum[i][j] + da[j] * p["alpha"][i][j] * x[i] for j in H] for i in H]
    return dx, dhebb, dbefore
