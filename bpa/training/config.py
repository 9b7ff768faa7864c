"""What a training run is: one dataclass, from which the command line and the checkpoint are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
import tyro

from bpa.arguments import (
    plain,
    require_choice,
    require_flag,
    require_integer,
    require_number,
    require_path,
    shown,
)
from bpa.cells.base import CELLS
from bpa.cells.plasticity import ALPHAS, PLASTICITIES, RULES, refuse_meaningless
from bpa.engines import ENGINES
from bpa.envs.base import REGISTRY
from bpa.training.a2c import BASELINES
from bpa.training.optim import OPTIMIZERS, POLICIES, SCHEDULES
from bpa.training.tasks import (
    SETTINGS,
    CueSettings,
    PatternSettings,
    PictureSettings,
    RecallSettings,
    SequenceSettings,
    build_task,
)

OWN = "own"  # a task or a cell that is given to `train`, and that no name describes
DEVICES = ("auto", "cpu", "cuda")
# Beyond these a slip of the finger is likelier than a wish, and no machine could hold or end the run.
LARGEST = {
    "iterations": 10**9,
    "checkpoint_every": 10**9,
    "batch_size": 10**6,
    "size": 1001,
    "episode_length": 10**6,
    "hidden_size": 4096,
    "warmup_iterations": 10**9,
    "patterns.pattern_size": 10_000,
    "pictures.shrink": 100,
    "sequences.num_symbols": 10_000,
    "sequences.sequence_length": 10**6,
}
LARGEST_OF_A_TASK = 1000  # for every other whole number in the settings of a task


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run. Every field is checked when the config is made.

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
    """What is learned: a reward to find in the grid maze, or by cues, or one of the supervised tasks; a name
    of `bpa.envs.base.REGISTRY`: maze, cues, patterns, pictures, sequences, recall."""
    iterations: int = 3000
    """Training iterations, each one batch of whole episodes; at least 1."""
    seed: int = 0
    """Seed of the run: initial weights, mazes, actions; 0 to 2**63 - 1."""
    out: str | None = None
    """Run folder, made by the run; it must not exist yet. Without one, nothing is written."""
    resume: bool = False
    """Continue the run in `out` from its last checkpoint."""
    checkpoint_every: int = 500
    """Iterations between two checkpoints; at least 1."""
    quiet: bool = False
    """No progress bar, and no line a minute either."""
    tensorboard: bool = False
    """Also write event files for TensorBoard into the run folder; needs the extra "tensorboard"."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network and its task are; "auto" takes a CUDA device if there is one."""
    engine: Literal["auto", "eager", "numba", "triton"] = "auto"
    """What computes the steps: "auto" takes the fastest engine that can."""

    size: int = 11
    """Maze: side in cells, odd, at least 5."""
    episode_length: int = 200
    """Maze and cues: steps in an episode; at least 1, and for cues at least one trial."""
    batch_size: int = 30
    """Episodes in an iteration; at least 1."""
    reward: float = 10.0
    """Maze: reward for reaching the goal; at least 0."""
    wall_penalty: float = 0.0
    """Maze: cost of moving into a wall; at least 0."""

    cell: str = "rnn"
    """The network: `bpa.Network`, or `bpa.cells.lstm.LSTM`, which with plasticity "none" is the plain one."""
    hidden_size: int = 100
    """Hidden neurons; at least 1."""
    plasticity: Literal["none", "plastic", "simple", "retroactive"] = "simple"
    """How the connections change within an episode; see `bpa.Network`."""
    alpha: Literal["synapse", "neuron", "network"] = "synapse"
    """Plasticity coefficients: one a connection, one a post-synaptic neuron, or one in all."""
    fanout: bool = True
    """One gain of the modulator for each neuron."""
    clip: float = 2.0
    """Bound of the Hebbian trace; above 0."""
    rule: str = "hebb"
    """Hebbian rule: hebb, decay or oja; the last two need plasticity "plastic"."""
    initial_weight: float = 0.001
    """w and alpha are first uniform in [0, initial_weight), in an LSTM alpha alone; at least 0."""
    initial_eta: float = 0.01
    """First value of eta, where it is learned; at least 0."""

    optimizer: Literal["adam", "muon"] = "adam"
    """What takes the steps: Adam, or `bpa.training.muon.Muon` for w and alpha and Adam for the rest."""
    learning_rate: float = 1e-3
    """Step size of the optimiser; above 0."""
    learning_rate_schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate falls towards 0 at the last iteration."""
    adam_eps: float = 1e-4
    """Epsilon of Adam; above 0."""
    max_gradient_norm: float = 4.0
    """Bound to which the norm of the gradient is scaled down; above 0."""
    gradient_norm_limit: float = 1e4
    """Norm of the gradient above which a step counts as diverged, before it is scaled down; above 0."""
    on_divergence: Literal["stop", "skip", "halve-lr"] = "stop"
    """Where a loss, gradient or trace is not finite, or the limit is passed: stop; leave the step out; or
    leave it out and halve the learning rate."""
    warmup_iterations: int = 0
    """First iterations without an optimiser step (101 in the published code); at least 0."""
    gamma: float = 0.9
    """Discount of the return, a step; 0 to 1."""
    gae_lambda: float = 1.0
    """Of the generalised advantage; 1 takes the whole return, as published; 0 to 1."""
    value_coef: float = 0.1
    """Weight of the squared value error; at least 0."""
    concentration_coef: float = 0.01
    """Weight of the penalty on concentrated policies; at least 0."""
    baseline: Literal["own", "first"] = "own"
    """Baseline of the advantage: each episode's own value, or the published slip."""

    cues: CueSettings = dataclasses.field(default_factory=CueSettings)
    """The cue-reward task: find out by reward alone which cue counts."""
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
        for name, value in self.named_settings().items():
            most, value = LARGEST.get(name, LARGEST_OF_A_TASK if "." in name else None), plain(value)
            if isinstance(value, int) and most is not None and value > most:
                raise ValueError(f"{name} must be at most {most}, got {value}")

        def store(door: Callable[..., Any], name: str, *allowed: Any, **bounds: Any) -> None:
            object.__setattr__(self, name, door(name, getattr(self, name), *allowed, **bounds))

        store(require_choice, "task", (*REGISTRY, OWN))
        store(require_integer, "iterations", low=1)
        store(require_integer, "seed", low=0, high=2**63 - 1)
        if self.out is not None:
            store(require_path, "out", "the name of a folder or None")
        store(require_flag, "resume")
        if self.resume and self.out is None:
            raise ValueError("resume needs out, the folder of the run to continue")
        store(require_integer, "checkpoint_every", low=1)
        store(require_flag, "quiet")
        store(require_flag, "tensorboard")
        if self.tensorboard and self.out is None:
            raise ValueError("tensorboard needs out, the folder for its files")
        store(require_choice, "device", DEVICES)
        store(require_choice, "engine", ENGINES)
        store(require_integer, "batch_size", low=1)
        maze = build_task(self, batch_size=1, task="maze")
        for name in ("size", "episode_length", "reward", "wall_penalty"):
            object.__setattr__(self, name, getattr(maze, name))
        for task, kind in SETTINGS.items():
            if task == self.task or getattr(self, task) != kind():
                build_task(self, batch_size=1, task=task)
        if self.task in BEGINNINGS and self.options:
            raise ValueError(f"options are for tasks that were registered, got some for {self.task!r}")
        if self.task not in (OWN, *BEGINNINGS):
            build_task(self, batch_size=1)
        store(require_choice, "cell", (*CELLS, OWN))
        store(require_integer, "hidden_size", low=1)
        store(require_choice, "plasticity", PLASTICITIES)
        store(require_choice, "alpha", ALPHAS)
        store(require_flag, "fanout")
        store(require_number, "clip", low=0, above=True)
        store(require_choice, "rule", RULES)
        store(require_number, "initial_weight", low=0)
        store(require_number, "initial_eta", low=0)
        refuse_meaningless(self.plasticity, self.rule, self.clip)
        if self.cell != "rnn" and self.rule != "hebb":
            raise ValueError(f"cell {self.cell!r} needs rule 'hebb', got {self.rule!r}")
        store(require_choice, "optimizer", OPTIMIZERS)
        store(require_number, "learning_rate", low=0, above=True)
        store(require_choice, "learning_rate_schedule", SCHEDULES)
        store(require_number, "adam_eps", low=0, above=True)
        store(require_number, "max_gradient_norm", low=0, above=True)
        store(require_number, "gradient_norm_limit", low=0, above=True)
        store(require_choice, "on_divergence", POLICIES)
        store(require_integer, "warmup_iterations", low=0)
        store(require_number, "gamma", low=0, high=1)
        store(require_number, "gae_lambda", low=0, high=1)
        store(require_number, "value_coef", low=0)
        store(require_number, "concentration_coef", low=0)
        store(require_choice, "baseline", BASELINES)

    def replace(self, **changes: Any) -> TrainConfig:
        """This config with some fields changed, checked anew."""
        return dataclasses.replace(self, **changes)

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
