"""What a training run is: one dataclass, from which the command line and the checkpoint are made."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import torch
import tyro

from bpa.arguments import require_choice, require_path, shown
from bpa.cells.base import CELLS
from bpa.cells.plasticity import RULES, refuse_meaningless
from bpa.envs.base import REGISTRY
from bpa.fields import Real, Whole, check_fields, ranged
from bpa.training.tasks import (
    SETTINGS,
    CueSettings,
    GymnasiumSettings,
    PatternSettings,
    PictureSettings,
    RecallSettings,
    SequenceSettings,
    build_task,
)

OWN = "own"  # a task or a cell that is given to `train`, and that no name describes


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Every field is checked when the config is made.

    What a field may hold stands in its type or behind its default: `Whole` and `Real` numbers, from the first
    to the second; a `limit` only stops a slip of the finger.

    Whole and real numbers of every kind, NumPy's too, and paths are welcome; they are stored as plain int,
    float, bool and str.

    Raises:
        ValueError: a field is out of range; the message names it, what came and what is allowed.

    Example:
        >>> import bpa, dataclasses
        >>> config = bpa.TrainConfig(iterations=500, size=9, plasticity="retroactive")
        >>> dataclasses.replace(config, seed=1).seed
        1
        >>> bpa.TrainConfig(size=8)
        Traceback (most recent call last):
        ValueError: size must be an odd number of at least 5, got 8
    """

    task: str = "maze"
    """What is learned: a reward to find in the grid maze, or by cues, an environment of Gymnasium, or one of
    the supervised tasks; a name of `bpa.envs.base.REGISTRY`: maze, cues, gymnasium, patterns, pictures,
    sequences, recall."""
    iterations: int = ranged(3000, Whole(1, limit=10**9))
    """Training iterations, each one batch of whole episodes."""
    seed: int = ranged(0, Whole(0, 2**63 - 1))
    """Seed of the run: initial weights, mazes, actions."""
    out: str | None = None
    """Run folder, made by the run; it must not exist yet. Without one, nothing is written."""
    resume: bool = False
    """Continue the run in `out` from its last checkpoint."""
    checkpoint_every: int = ranged(500, Whole(1, limit=10**9))
    """Iterations between two checkpoints."""
    quiet: bool = False
    """No progress bar, and no line a minute either."""
    tensorboard: bool = False
    """Also write event files for TensorBoard into the run folder; needs the extra "tensorboard"."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network and its task are; "auto" takes a CUDA device if there is one."""
    engine: Literal["auto", "eager", "numba", "triton"] = "auto"
    """What computes the steps: "auto" takes the fastest engine that can."""

    size: int = ranged(11, Whole(5, limit=1001, odd=True))
    """Maze: side in cells."""
    episode_length: int = ranged(200, Whole(1, limit=10**6))
    """Maze and cues: steps in an episode; for cues at least one trial."""
    batch_size: int = ranged(30, Whole(1, limit=10**6))
    """Episodes in an iteration."""
    reward: float = ranged(10.0, Real(0))
    """Maze: reward for reaching the goal."""
    wall_penalty: float = ranged(0.0, Real(0))
    """Maze: cost of moving into a wall."""
    early_iterations: int = ranged(0, Whole(0, limit=10**9))
    """Maze: first iterations, in a maze of side `early_size` with `early_episode_length` steps an episode."""
    early_size: int = ranged(9, Whole(5, limit=1001, odd=True))
    """Maze: side in cells in the early iterations."""
    early_episode_length: int = ranged(100, Whole(1, limit=10**6))
    """Maze: steps in an episode of the early iterations."""

    cell: str = "rnn"
    """The network: `bpa.Network`, or `bpa.cells.lstm.LSTM`, which with plasticity "none" is the plain one."""
    hidden_size: int = ranged(100, Whole(1, limit=4096))
    """Hidden neurons."""
    plasticity: Literal["none", "plastic", "simple", "retroactive"] = "simple"
    """How the connections change within an episode; see `bpa.Network`."""
    alpha: Literal["synapse", "neuron", "network"] = "synapse"
    """Plasticity coefficients: one a connection, one a post-synaptic neuron, or one in all."""
    fanout: bool = True
    """One gain of the modulator for each neuron."""
    clip: float = ranged(2.0, Real(0, above=True))
    """Bound of the Hebbian trace."""
    rule: str = "hebb"
    """Hebbian rule: hebb, decay or oja; the last two need plasticity "plastic"."""
    initial_weight: float = ranged(0.001, Real(0))
    """w and alpha are first uniform in [0, initial_weight), in an LSTM alpha alone."""
    initial_eta: float = ranged(0.01, Real(0))
    """First value of eta, where it is learned."""
    initial_self: float = ranged(0.0, Real(0))
    """Added to the first diagonal of w, about the share of activity that a neuron keeps; not in an LSTM."""

    optimizer: Literal["adam", "muon"] = "adam"
    """What takes the steps: Adam, or `bpa.training.muon.Muon` for w and alpha and Adam for the rest."""
    learning_rate: float = ranged(1e-3, Real(0, above=True))
    """Step size of the optimiser."""
    learning_rate_schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate falls towards 0 at the last iteration."""
    adam_eps: float = ranged(1e-4, Real(0, above=True))
    """Epsilon of Adam."""
    max_gradient_norm: float = ranged(4.0, Real(0, above=True))
    """Bound to which the norm of the gradient is scaled down."""
    gradient_norm_limit: float = ranged(1e4, Real(0, above=True))
    """Norm of the gradient above which a step counts as diverged, before it is scaled down."""
    on_divergence: Literal["stop", "skip", "halve-lr"] = "stop"
    """Where a loss, gradient or trace is not finite, or the limit is passed: stop; leave the step out; or
    leave it out and halve the learning rate."""
    warmup_iterations: int = ranged(0, Whole(0, limit=10**9))
    """First iterations without an optimiser step (101 in the published code)."""
    gamma: float = ranged(0.9, Real(0, 1))
    """Discount of the return, a step."""
    gae_lambda: float = ranged(1.0, Real(0, 1))
    """Of the generalised advantage; 1 takes the whole return, as published."""
    value_coef: float = ranged(0.1, Real(0))
    """Weight of the squared value error."""
    concentration_coef: float = ranged(0.01, Real(0))
    """Weight of the penalty on concentrated policies."""
    concentration_schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How this weight falls towards 0 at the last iteration."""
    baseline: Literal["own", "first"] = "own"
    """Baseline of the advantage: each episode's own value, or the published slip."""

    cues: CueSettings = dataclasses.field(default_factory=CueSettings)
    """The cue-reward task: find out by reward alone which cue counts."""
    gymnasium: GymnasiumSettings = dataclasses.field(default_factory=GymnasiumSettings)
    """An environment of somebody else that Gymnasium knows."""
    patterns: PatternSettings = dataclasses.field(default_factory=PatternSettings)
    """Binary patterns to remember and complete."""
    pictures: PictureSettings = dataclasses.field(default_factory=PictureSettings)
    """Real pictures to remember and complete."""
    sequences: SequenceSettings = dataclasses.field(default_factory=SequenceSettings)
    """Little languages, each of which lasts for one sequence."""
    recall: RecallSettings = dataclasses.field(default_factory=RecallSettings)
    """Pairs of keys and values to recall."""
    options: Annotated[dict[str, Any], tyro.conf.Suppress] = dataclasses.field(
        default_factory=dict, hash=False
    )
    """Settings of a task that was registered by somebody else, by the names of its constructor."""

    def __post_init__(self) -> None:
        if not isinstance(self.options, dict):
            raise ValueError(f"options must be a table of names and values, got {shown(self.options)}")
        for task, kind in SETTINGS.items():
            settings = getattr(self, task)
            if not isinstance(settings, kind):
                raise ValueError(f"{task} must be a {kind.__name__}, got {type(settings).__name__}")
        check_fields(self)
        object.__setattr__(self, "task", require_choice("task", self.task, (*REGISTRY, OWN)))
        object.__setattr__(self, "cell", require_choice("cell", self.cell, (*CELLS, OWN)))
        object.__setattr__(self, "rule", require_choice("rule", self.rule, RULES))
        if self.out is not None:
            object.__setattr__(self, "out", require_path("out", self.out, "the name of a folder or None"))
        if self.resume and self.out is None:
            raise ValueError("resume needs out, the folder of the run to continue")
        if self.tensorboard and self.out is None:
            raise ValueError("tensorboard needs out, the folder for its files")
        for task, kind in SETTINGS.items():
            if task == self.task or getattr(self, task) != kind():
                build_task(self, batch_size=1, task=task)
        if self.early_iterations and self.task != "maze":
            raise ValueError(
                f"early_iterations must be 0 for task {self.task!r}, got {self.early_iterations}"
            )
        if self.task in BEGINNINGS and self.options:
            raise ValueError(f"options are for tasks that were registered, got some for {self.task!r}")
        if self.task not in (OWN, *BEGINNINGS):
            build_task(self, batch_size=1)
        refuse_meaningless(self.plasticity, self.rule, self.clip)
        if self.cell != "rnn" and self.rule != "hebb":
            raise ValueError(f"cell {self.cell!r} needs rule 'hebb', got {self.rule!r}")

    def replace(self, **changes: Any) -> TrainConfig:
        """This config with some fields changed, checked anew."""
        return dataclasses.replace(self, **changes)

    def early(self) -> TrainConfig:
        """This config with the maze and the episodes of its early iterations."""
        return self.replace(size=self.early_size, episode_length=self.early_episode_length)

    def torch_device(self) -> torch.device:
        """The device that `device` means on this machine; ValueError if there is none.

        Not checked before, since a file may come from another machine.
        """
        there = "cuda" if torch.cuda.is_available() else "cpu"
        if self.device == "cuda" != there:
            raise ValueError("device must be 'auto' or 'cpu' on this machine without CUDA, got 'cuda'")
        return torch.device(there if self.device == "auto" else self.device)

    def as_dict(self) -> dict[str, Any]:
        """Field names and values, ready for JSON."""
        return dataclasses.asdict(self)

    def named_settings(self) -> dict[str, Any]:
        """Every single setting by its name, those of a task with its name before them: "cues.num_cues"."""
        named: dict[str, Any] = {}
        for name, value in self.as_dict().items():
            nested = (
                {f"{name}.{field}": inner for field, inner in value.items()} if name in SETTINGS else None
            )
            named |= {name: value} if nested is None else nested
        return named

    def updated(self, fields: Any) -> TrainConfig:
        """This config with those of `fields` changed; of a task's table too only what it names."""
        changed = checked_fields(TrainConfig, fields, "config")
        for task in changed.keys() & SETTINGS.keys():
            changed[task] = vars(getattr(self, task)) | checked_fields(SETTINGS[task], changed[task], task)
        return self.from_dict(self.as_dict() | changed)

    @classmethod
    def from_dict(cls, fields: Any) -> TrainConfig:
        """The config with these fields; ValueError names a field that does not exist."""
        fields = checked_fields(cls, fields, "config")
        for task in fields.keys() & SETTINGS.keys():
            fields[task] = SETTINGS[task](**checked_fields(SETTINGS[task], fields[task], task))
        return cls(**fields)


def checked_fields(kind: type, fields: Any, name: str) -> dict[str, Any]:
    """A copy of `fields`; ValueError unless it is a table of fields that the dataclass `kind` has."""
    known = [field.name for field in dataclasses.fields(kind)]
    if not isinstance(fields, dict):
        raise ValueError(f"{name} must be a table of field names and values, got {type(fields).__name__}")
    for field in fields:
        if field not in known:
            raise ValueError(f"{name} field {field!r} is unknown; the fields are {', '.join(known)}")
    return dict(fields)


SUPERVISED_SETTINGS: dict[str, Any] = {"iterations": 1000, "hidden_size": 60, "learning_rate": 3e-3}
# Where each task begins on the command line. Configs are made when asked for: pictures take a second to load.
BEGINNINGS: dict[str, dict[str, Any]] = {
    "maze": {},
    "cues": {},
    "gymnasium": {},
    "patterns": SUPERVISED_SETTINGS,
    "pictures": SUPERVISED_SETTINGS | {"hidden_size": 80},
    "sequences": SUPERVISED_SETTINGS,
    "recall": SUPERVISED_SETTINGS,
}


def beginning(task: str) -> TrainConfig:
    """The settings with which a run of this task begins on the command line.

    Raises:
        ValueError: the task is unknown.
    """
    require_choice("task", task, REGISTRY)
    return TrainConfig().replace(task=task, **BEGINNINGS.get(task, {}))
