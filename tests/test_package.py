"""`import bpa`: its names come when they are asked for, in whatever order modules were imported before."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bpa
from bpa import cli, commands

HEAVY = {"torch", "numba", "scipy", "gymnasium", "matplotlib", "numpy", "tyro"}


def fresh(program, *arguments):
    """What a program prints in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, *arguments, "-c", program], capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_names_for_readers_of_types_are_those_that_are_given():
    tree = ast.parse(Path(bpa.__file__).read_text(encoding="utf-8"))
    (checking,) = (
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imported = {alias.name: node.module for node in checking.body for alias in node.names}
    assert imported == bpa.ORIGINS
    assert {*bpa.ORIGINS, "__version__"} == set(bpa.__all__)
    assert set(bpa.__all__) <= set(dir(bpa))


def test_what_is_not_there_is_said():
    with pytest.raises(AttributeError, match="module 'bpa' has no attribute 'Networks'"):
        bpa.Networks  # noqa: B018
    with pytest.raises(AttributeError, match="'_network'"):
        bpa._network  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Networks'"):
        exec("from bpa import Networks")


BEFORE = [
    "import bpa",
    "import bpa.train",
    "import bpa; bpa.train; import bpa.train",
    "from bpa.train import a2c_loss; import bpa",
    "from bpa import train; import bpa.train",
    "import bpa.commands",
]
AFTERWARDS = """
few = dict(iterations=1, size=5, episode_length=4, batch_size=2, hidden_size=3)
config = bpa.TrainConfig(**few, engine="eager", quiet=True)
print(len(bpa.train(config).history), bpa.train is sys.modules["bpa.train"].train)
import bpa.train
from bpa import train
from bpa.train import Diverged
assert bpa.train is train is sys.modules["bpa.train"].train and issubclass(Diverged, ArithmeticError)
"""


def test_train_is_the_function_whatever_was_imported_before():
    """One interpreter, which has our modules anew for each order and PyTorch once for all."""
    program = f"""
import sys
for before in {BEFORE}:
    for name in [name for name in sys.modules if name.partition(".")[0] == "bpa"]:
        del sys.modules[name]
    exec(before + {AFTERWARDS!r}, {{"sys": sys}})
"""
    assert fresh(program).splitlines() == ["1 True"] * len(BEFORE)


def test_every_name_and_module_comes_when_it_is_asked_for():
    program = """
import sys
import bpa
assert "torch" not in sys.modules
assert {name: getattr(bpa, name).__module__ for name in bpa.ORIGINS} == bpa.ORIGINS
assert bpa.envs.from_gymnasium and bpa.show.__name__ and bpa.network.Network is bpa.Network
"""
    assert fresh(program) == ""


@pytest.mark.parametrize("order", ["import gymnasium, bpa", "import bpa, gymnasium"])
def test_gymnasium_knows_our_environments_in_both_orders(order):
    names = ["bpa/GridMaze-v0", "bpa/CueReward-v0"]
    assert fresh(f"{order}\nprint(*(gymnasium.make(name).spec.id for name in {names}))") == " ".join(names)


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["--version"]])
@pytest.mark.parametrize("as_module", [True, False])
def test_usage_and_version_wait_for_nothing(arguments, as_module, tmp_path):
    script = tmp_path / "bpa"
    script.write_text("import sys\nfrom bpa.cli import main\nsys.exit(main())\n")
    command = ["-X", "importtime", *(["-m", "bpa"] if as_module else [str(script)]), *arguments]
    done = subprocess.run([sys.executable, *command], capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0
    assert done.stdout.strip() == (f"bpa {bpa.__version__}" if arguments == ["--version"] else cli.USAGE)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "bpa" in imported
    assert imported & HEAVY == set()


def test_only_the_command_that_asks_for_usage_leaves_gymnasium_out():
    for arguments in (["-m"], ["/bin/bpa", "--help"], [r"bpa.exe", "--version"], ["-m", "-h"]):
        assert bpa.asks_for_usage(arguments), arguments
    for arguments in ([], [""], ["-c"], ["train.py", "--help"], ["-m", "train", "--help"], ["bpa", "play"]):
        assert not bpa.asks_for_usage(arguments), arguments


def test_every_command_of_the_usage_can_be_run():
    assert list(cli.COMMANDS) == list(commands.COMMANDS)
