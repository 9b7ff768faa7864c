"""Self-checks of the book's exercises: `from bpa import checks`, then `checks.NAME(your_function)`.

Each check compares your function with the definition on fresh random inputs. It prints a line if they
agree, and raises `NotYet` with a hint if they do not.
"""

from bpa.checks.chapter_01 import associate, complete, second_neuron_step, soft_clip
from bpa.checks.chapter_02 import connections, decay_step, recall_from_history, unroll
from bpa.checks.chapter_03 import alpha_gradient, masked_error, parameter_count, swapped_traces
from bpa.checks.chapter_04 import hide_half, nearest_picture, ridge
from bpa.checks.chapter_05 import erasing_modulation, gains, modulated_trace, two_stores
from bpa.checks.chapter_06 import earned, eligibility_after, rate_for, retroactive_trace
from bpa.checks.chapter_07 import best_answers, right_by_trial, still_possible, was_in
from bpa.checks.chapter_08 import hitting_time, looks_alike, read_observation, senses_only
from bpa.checks.chapter_09 import (
    best_baseline,
    bootstrapped_returns,
    generalised_advantage,
    leave_one_out,
)
from bpa.checks.chapter_10 import around_rewards, clip_gradients, play_frozen, times_between
from bpa.checks.chapter_11 import holm, improvement_interval, matching_size, quantile
from bpa.checks.chapter_12 import held_out_score, keep_sign, transplanted, triggered
from bpa.checks.chapter_13 import mixed_losses, perplexity, plastic_step, predict_next
from bpa.checks.chapter_14 import attend, gated_delta_step, retention_mask, written_values
from bpa.checks.chapter_15 import mended_back, oja_back, shortest_stretch, soft_clip_back
from bpa.checks.chapter_16 import first_parting, mended_loss, mended_trace, treats_alone
from bpa.checks.compare import NotYet, Slip, check_answer

__all__ = [
    "NotYet",
    "Slip",
    "alpha_gradient",
    "around_rewards",
    "associate",
    "attend",
    "best_answers",
    "best_baseline",
    "bootstrapped_returns",
    "check_answer",
    "clip_gradients",
    "complete",
    "connections",
    "decay_step",
    "earned",
    "eligibility_after",
    "erasing_modulation",
    "first_parting",
    "gains",
    "gated_delta_step",
    "generalised_advantage",
    "held_out_score",
    "hide_half",
    "hitting_time",
    "holm",
    "improvement_interval",
    "keep_sign",
    "leave_one_out",
    "looks_alike",
    "masked_error",
    "matching_size",
    "mended_back",
    "mended_loss",
    "mended_trace",
    "mixed_losses",
    "modulated_trace",
    "nearest_picture",
    "oja_back",
    "parameter_count",
    "perplexity",
    "plastic_step",
    "play_frozen",
    "predict_next",
    "quantile",
    "rate_for",
    "read_observation",
    "recall_from_history",
    "retention_mask",
    "retroactive_trace",
    "ridge",
    "right_by_trial",
    "second_neuron_step",
    "senses_only",
    "shortest_stretch",
    "soft_clip",
    "soft_clip_back",
    "still_possible",
    "swapped_traces",
    "times_between",
    "transplanted",
    "treats_alone",
    "triggered",
    "two_stores",
    "unroll",
    "was_in",
    "written_values",
]
