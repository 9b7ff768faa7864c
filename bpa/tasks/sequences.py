"""Sequences that must be learned while they run: little languages, and pairs of keys and values."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bpa.arguments import require_device, require_integer, require_number, require_shape
from bpa.noise import given_or_fresh, integers, uniform
from bpa.tasks.base import Batch


def one_hot(symbols: Tensor, count: int) -> Tensor:
    """float32 [..., A] from int64 symbols below A."""
    return torch.nn.functional.one_hot(symbols, count).float()


class Languages:
    """Predict the next symbol of a language that exists for one sequence only.

    Description:
        Each sequence is drawn from its own little language over A symbols, a Markov chain: what comes next
        depends on the last `order` symbols, by a table whose rows are drawn from a Dirichlet distribution
        with all parameters equal to `concentration`. The first symbols are uniform. Over all languages
        every symbol is equally likely everywhere, so nothing is to be learned but how to learn.

    Observation:
        Inputs [T, B, A]: the present symbol, one-hot. T = sequence_length - 1.

    Targets:
        Classes int64 [T, B]: the next symbol. What counts is every step from which the last `order` symbols
        are known. The floor is the loss of the exact Bayesian, `bayes_loss`; who learns nothing within the
        sequence does best with log A.

    Configuration:
        num_symbols: A, 2 to 10,000. sequence_length: at least order + 1. order, 1 to 13; the table has
        A**order rows, at most 10,000. concentration: above 0; small ones make languages easier to foresee.
        batch_size: B, at least 1.
        generator: source of all noise, a fresh unseeded one if None. device: of what `sample` returns.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        num_symbols: int = 4,
        sequence_length: int = 100,
        order: int = 1,
        concentration: float = 0.3,
        batch_size: int = 30,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ):
        self.num_symbols = num_symbols = require_integer("num_symbols", num_symbols, low=2, high=10_000)
        self.order = order = require_integer("order", order, low=1, high=13)  # 2**13 < 10,000 < 2**14
        if num_symbols**order > 10_000:
            raise ValueError(
                f"order must leave at most 10000 contexts of {num_symbols} symbols, got {order}, "
                f"with {num_symbols**order}"
            )
        self.sequence_length = sequence_length = require_integer(
            "sequence_length", sequence_length, low=order + 1
        )
        self.concentration = require_number("concentration", concentration, low=0, above=True)
        self.batch_size = require_integer("batch_size", batch_size, low=1)
        self.generator = given_or_fresh(generator)
        self.device = require_device("device", device)
        self.input_size = self.output_size = num_symbols
        self.episode_length = sequence_length - 1

    def draw_tables(self) -> Tensor:
        """B languages, [B, A**order, A]: the chance of each next symbol after each context."""
        # torch has no Dirichlet draw that takes a generator; NumPy's is seeded from ours.
        seed = integers(2**62, generator=self.generator).item()
        rows = np.random.default_rng(int(seed)).dirichlet(
            [self.concentration] * self.num_symbols, (self.batch_size, self.num_symbols**self.order)
        )
        return torch.from_numpy(rows)

    def draw_symbols(self, tables: Tensor) -> Tensor:
        """One sequence from each language, int64 [sequence_length, B]."""
        A, B = self.num_symbols, self.batch_size
        reached = tables.cumsum(2)[:, :, :-1]
        episodes = torch.arange(B, dtype=torch.int64, device="cpu")
        symbols = list(integers(A, self.order, B, generator=self.generator).cpu())
        later = self.sequence_length - self.order
        for numbers in uniform(later, B, generator=self.generator, dtype=torch.float64).cpu():
            row = reached[episodes, contexts(torch.stack(symbols[-self.order :]), A, self.order)[-1]]
            symbols.append((numbers[:, None] >= row).sum(1))
        return torch.stack(symbols)

    def sample(self) -> Batch:
        """B new languages, and one sequence from each."""
        symbols = self.draw_symbols(self.draw_tables())
        mask = torch.ones(self.episode_length, self.batch_size, dtype=torch.bool, device="cpu")
        mask[: self.order - 1] = False
        targets = symbols[1:].masked_fill(~mask, 0)
        inputs = one_hot(symbols[:-1], self.num_symbols)
        return Batch(inputs.to(self.device), targets.to(self.device), mask.to(self.device))

    def bayes_loss(self, batch: Batch) -> Tensor:
        """-log p of each target by the exact Bayesian, nats, float64 [T, B]; 0 where nothing counts.

        It knows how languages are drawn, not which one this is: p(next = a | past) =
        (n_a + concentration) / (n + A concentration), with n_a of the n visits to the present context so far
        followed by a. This is the posterior mean of a Dirichlet row, and no predictor has a lower expected
        loss at any step. The mean over `batch.mask` is the floor for `masked_cross_entropy`.
        """
        A, T, B = self.num_symbols, self.episode_length, self.batch_size
        require_shape("batch.inputs", batch.inputs, (T, B, A))
        context = contexts(batch.inputs.argmax(2), A, self.order)
        episodes = torch.arange(B, dtype=torch.int64, device=batch.inputs.device)
        counts = torch.full(
            (B, A**self.order, A), self.concentration, dtype=torch.float64, device=batch.inputs.device
        )
        losses = counts.new_zeros(T, B)
        for t in range(self.order - 1, T):
            where = (episodes, context[t - self.order + 1], batch.targets[t])
            losses[t] = counts[where[:2]].sum(1).log() - counts[where].log()
            counts[where] += 1
        return losses


def contexts(symbols: Tensor, count: int, order: int) -> Tensor:
    """The last `order` symbols as one number, the newest as its last digit to base A.

    int64 [L, B] -> [L - order + 1, B]: the first entry belongs to the first step that has a whole context.
    """
    windows = symbols.unfold(0, order, 1)  # [L - order + 1, B, order], oldest first
    places = torch.arange(order - 1, -1, -1, dtype=torch.int64, device=symbols.device)
    return (windows * count**places).sum(2)


class AssociativeRecall:
    """Remember more and more pairs of key and value, and be asked for a random one after each new pair.

    Description:
        In an episode N different keys come up one by one, each followed by its value. After the n-th pair one
        of the n keys so far, drawn at random, is asked for: n is the load that the memory carries. Keys
        and values are drawn anew for each episode, so only what the episode showed holds the answer.

    Observation:
        Inputs [T, B, K + V + 1]: the key one-hot, the value one-hot, and a 1 where a key is asked for. A pair
        takes two steps, first its key, then its value; a question takes one. T = 3 N.

    Targets:
        Classes int64 [T, B]: the value of the key asked for. What counts is the questions, steps 2, 5, 8, ...
        Perfect memory has a loss of 0, none at all log V.

    Configuration:
        num_pairs: N, at least 1. num_keys: K, at least N. num_values: V, at least 2.
        batch_size: B, at least 1.
        generator: source of all noise, a fresh unseeded one if None. device: of what `sample` returns.

    Raises:
        ValueError: a setting is out of range, or there are more pairs than keys.
    """

    def __init__(
        self,
        num_pairs: int = 8,
        num_keys: int = 16,
        num_values: int = 8,
        batch_size: int = 30,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ):
        self.num_keys = num_keys = require_integer("num_keys", num_keys, low=1)
        self.num_pairs = num_pairs = require_integer("num_pairs", num_pairs, low=1)
        if num_pairs > num_keys:
            raise ValueError(f"num_pairs must be at most {num_keys}, one for each key, got {num_pairs}")
        self.num_values = num_values = require_integer("num_values", num_values, low=2)
        self.batch_size = require_integer("batch_size", batch_size, low=1)
        self.generator = given_or_fresh(generator)
        self.device = require_device("device", device)
        self.input_size, self.output_size = num_keys + num_values + 1, num_values
        self.episode_length = 3 * num_pairs

    def sample(self) -> Batch:
        """B new episodes."""
        N, K, V, B = self.num_pairs, self.num_keys, self.num_values, self.batch_size
        keys = uniform(K, B, generator=self.generator).argsort(0)[:N]
        values = integers(V, N, B, generator=self.generator)
        load = torch.arange(1, N + 1, dtype=torch.int64, device=keys.device)[:, None]
        asked = (uniform(N, B, generator=self.generator, dtype=torch.float64) * load).long()

        inputs = torch.zeros(N, 3, B, self.input_size, dtype=torch.float32, device=keys.device)
        inputs[:, 0, :, :K] = one_hot(keys, K)
        inputs[:, 1, :, K : K + V] = one_hot(values, V)
        inputs[:, 2, :, :K] = one_hot(keys.gather(0, asked), K)
        inputs[:, 2, :, -1] = 1
        targets = torch.zeros(N, 3, B, dtype=torch.int64, device=keys.device)
        targets[:, 2] = values.gather(0, asked)
        mask = torch.zeros(N, 3, B, dtype=torch.bool, device=keys.device)
        mask[:, 2] = True
        batch = Batch(inputs.flatten(0, 1), targets.flatten(0, 1), mask.flatten(0, 1))
        return Batch(*(part.to(self.device) for part in batch))


def accuracy_by_load(outputs: Tensor, batch: Batch) -> Tensor:
    """Share of right answers at each load 1 to N, float64 [N].

    Args:
        outputs: [T, B, V]. batch: from `AssociativeRecall.sample`.
    """
    require_shape("outputs", outputs, (*batch.targets.shape, "V"))
    return (outputs.argmax(2) == batch.targets)[2::3].double().mean(1)
