"""Chapter 7: right answers, each written another way, and typical wrong ones with the hint they get."""

import torch

from bpa.checks import chapter_07


def in_pair(actions, rewards):
    return (2 * actions - 1) * rewards > 0


def in_pair_by_table(actions, rewards):
    return torch.where(actions.bool(), rewards == 1, rewards == -1)


def left(pairs, inside, num_cues, struck=lambda shown, was_in: shown != was_in):
    """The definition, cue by cue, with a way to strike out the wrong ones."""
    possible = torch.ones(len(pairs), num_cues, dtype=torch.bool)
    for b in range(len(pairs)):
        for cue in range(num_cues):
            for pair, was_in in zip(pairs[b].tolist(), inside[b].tolist(), strict=True):
                if struck(cue in pair, was_in):
                    possible[b, cue] = False
    return possible


def left_one_hot(pairs, inside, num_cues):
    shown = torch.nn.functional.one_hot(pairs, num_cues).sum(2)
    return ((2 * shown - 1) * (2 * inside.long() - 1)[:, :, None]).amin(1) > 0


def by_trial(actions, answers):
    asked = answers >= 0
    trial = asked.cumsum(0) - 1
    count = int(asked.sum(0)[0])
    return torch.tensor(
        [((actions == answers) & asked & (trial == r)).sum().item() / answers.shape[1] for r in range(count)]
    )


def by_trial_reshaped(actions, answers):
    asked = answers.T >= 0
    return (actions == answers).T[asked].reshape(len(asked), -1).float().mean(0)


def mixed_up(actions, answers):
    asked = answers >= 0
    return (actions == answers)[asked].float().reshape(-1, actions.shape[1]).mean(1)


def best(pairs, possible, enough=lambda shown, left: shown > left / 2):
    """The definition, episode by episode, with a way to want too much or too little."""
    answers = []
    for pair, cues in zip(pairs.tolist(), possible.tolist(), strict=True):
        answers.append(int(enough(sum(cues[cue] for cue in pair), sum(cues))))
    return torch.tensor(answers)


def best_gathered(pairs, possible):
    return (possible.gather(1, pairs).sum(1) / possible.sum(1) > 0.5).long()


RIGHT = [
    (chapter_07.was_in, lambda a, r: in_pair(a, r).numpy()),
    (chapter_07.still_possible, lambda p, i, n: left(p, i, n).tolist()),
    (chapter_07.right_by_trial, lambda a, w: by_trial(a, w).double().tolist()),
    (chapter_07.best_answers, lambda p, c: best(p, c).float()),
    (chapter_07.was_in, in_pair),
    (chapter_07.was_in, in_pair_by_table),
    (chapter_07.still_possible, left),
    (chapter_07.still_possible, left_one_hot),
    (chapter_07.right_by_trial, by_trial),
    (chapter_07.right_by_trial, by_trial_reshaped),
    (chapter_07.best_answers, best),
    (chapter_07.best_answers, best_gathered),
]


WRONG = [
    (chapter_07.was_in, lambda a, r: r == 1, "reward alone"),
    (chapter_07.was_in, lambda a, r: a.bool(), "answer alone"),
    (chapter_07.was_in, lambda a, r: ~in_pair(a, r), "turned round"),
    (chapter_07.was_in, lambda a, r: a.bool() & (r > 0), "A wrong no means"),
    (chapter_07.was_in, lambda a, r: a.bool() | (r > 0), "It takes both"),
    (chapter_07.was_in, lambda a, r: r * a, "no always gives 0"),
    (chapter_07.was_in, lambda a, r: in_pair(a, r)[:1], "Its shape is"),
    (chapter_07.was_in, lambda a, r: torch.ones_like(a), "largest difference"),
    (
        chapter_07.still_possible,
        lambda p, i, n: left(p, i, n, lambda shown, was_in: was_in and not shown),
        "not struck out",
    ),
    (
        chapter_07.still_possible,
        lambda p, i, n: left(p, i, n, lambda shown, was_in: shown and not was_in),
        "that were not shown are out",
    ),
    (chapter_07.still_possible, lambda p, i, n: left(p[:, -1:], i[:, -1:], n), "last trial alone"),
    (
        chapter_07.still_possible,
        lambda p, i, n: torch.stack(
            [left(p[:, r : r + 1], i[:, r : r + 1], n) for r in range(p.shape[1])]
        ).any(0),
        "not any one",
    ),
    (chapter_07.still_possible, lambda p, i, n: ~left(p, i, n), "true where a cue is out"),
    (chapter_07.still_possible, lambda p, i, n: left(p, ~i, n), "In and not in are swapped"),
    (chapter_07.still_possible, lambda p, i, n: left(p[:, :, :1], i, n), "first cue of each pair"),
    (chapter_07.still_possible, lambda p, i, n: left(p[:, :1], i[:, :1], n), "largest difference"),
    (chapter_07.right_by_trial, mixed_up, "You mix the episodes"),
    (
        chapter_07.right_by_trial,
        lambda a, w: torch.stack([(x == y)[y >= 0].float().mean() for x, y in zip(a.T, w.T, strict=True)]),
        "share of each episode",
    ),
    (chapter_07.right_by_trial, lambda a, w: by_trial(a, w).mean(), "one share for all"),
    (chapter_07.right_by_trial, lambda a, w: 1 - by_trial(a, w), "share of wrong answers"),
    (
        chapter_07.right_by_trial,
        lambda a, w: by_trial(a, torch.where(w >= 0, 1, w)),
        "share of yes",
    ),
    (chapter_07.right_by_trial, lambda a, w: (a == w).float().mean(1), "steps without a Go"),
    (chapter_07.right_by_trial, lambda a, w: by_trial(a, w)[1:], "first entry is missing"),
    (chapter_07.right_by_trial, lambda a, w: by_trial(a, w).flip(0), "wrong way round"),
    (chapter_07.right_by_trial, lambda a, w: by_trial(a, w) / 2, "largest difference"),
    (chapter_07.best_answers, lambda p, c: best(p, c, lambda s, n: s >= n / 2), "exactly one half"),
    (chapter_07.best_answers, lambda p, c: best(p, c, lambda s, n: s > 0), "not enough for a yes"),
    (chapter_07.best_answers, lambda p, c: best(p, c, lambda s, n: s == n), "only if it is certain"),
    (chapter_07.best_answers, lambda p, c: 1 - best(p, c), "Yes and no are swapped"),
    (
        chapter_07.best_answers,
        lambda p, c: best(p, c, lambda s, n: s > c.shape[1] / 2),
        "never says yes",
    ),
    (chapter_07.best_answers, lambda p, c: best(p[:, :1], c), "first cue of the pair"),
    (chapter_07.best_answers, lambda p, c: best(p, c, lambda s, n: s == 2), "need not be possible"),
    (chapter_07.best_answers, lambda p, c: torch.zeros(len(p)), "never says yes"),
    (chapter_07.best_answers, lambda p, c: torch.ones(len(p)), "largest difference"),
]
