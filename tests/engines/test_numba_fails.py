"""What is wrong with Numba or its cache costs time and one warning, and never the run.

Each case runs in a process of its own, with a cache folder of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_noise import in_a_process_of_its_own

import bpa
from bpa.engines.numba import vectors

FIRST_KERNEL = """
import logging, sys
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
{before}
from bpa import Network, engines
for _ in range(2):
    print(engines.choose("auto", Network(5, 4, 3)).__name__)
"""

TRAINING = """
import logging, sys
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
{before}
from bpa import TrainConfig, train
config = TrainConfig(iterations=2, quiet=True, size=5, episode_length=4, batch_size=2, hidden_size=3)
print(len(train(config.replace(seed=1)).history))
"""

FULL_DISK = """
import resource, signal, torch._dynamo  # which looks for a temporary folder of its own
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file may have a single byte
"""


# A process that has imported PyTorch and Numba, but nothing of ours, and forks where a script is to begin.
FORKING = """
import json, os, sys, traceback
import numba, torch, torch._dynamo

for line in sys.stdin:
    script, variables = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.environ.update(variables)
        numba.core.config.reload_config()
        try:
            exec(compile(script, "script", "exec"), {"__name__": "__main__"})
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        printed = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, printed]), flush=True)
"""


@pytest.fixture(scope="module")
def forked():
    """`in_a_process_of_its_own`, which need not import PyTorch and Numba each time."""
    if sys.platform != "linux":
        yield in_a_process_of_its_own
        return
    environment = os.environ | {"PYTHONPATH": str(Path(bpa.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORKING], env=environment, **pipes) as process:

        def run(script, **variables):
            print(json.dumps([script, variables]), file=process.stdin, flush=True)
            code, printed = json.loads(process.stdout.readline())
            assert code == 0, f"exit code {code}\n{printed[-2000:]}"
            return printed

        yield run
        process.stdin.close()


def said(script, folder, before="", run=in_a_process_of_its_own, **variables):
    """The lines that `script` prints with a cache in `folder`."""
    variables = {"NUMBA_CACHE_DIR": str(folder)} | variables
    return run(script.format(before=before), **variables).splitlines()


def assert_goes_on_with_numba(lines, *words):
    warning, *names = lines
    assert names == ["bpa.engines.numba"] * 2
    assert warning.startswith("WARNING Numba cannot use its cache in ")
    assert "NUMBA_CACHE_DIR can name another folder" in warning
    for word in words:
        assert word in warning


def test_compiling_switched_off_leaves_it_to_the_definition(tmp_path):
    lines = said(TRAINING, tmp_path, NUMBA_DISABLE_JIT="1")
    assert [line for line in lines if "one core" not in line] == [
        "WARNING Numba does not work here (RuntimeError: compiling is switched off, by NUMBA_DISABLE_JIT): "
        "the eager engine computes instead, many times slower",
        "2",
    ]


def test_compiling_switched_off_is_said_where_numba_was_asked_for(tmp_path, forked):
    script = """
from bpa import Network, engines
try:
    engines.choose("numba", Network(5, 4, 3))
except ValueError as error:
    print(error)
"""
    (_, line) = ["", *said(script, tmp_path, run=forked, NUMBA_DISABLE_JIT="1")][-2:]
    assert line.startswith(
        "engine 'numba' cannot run this: Numba does not work here (RuntimeError: compiling"
    )
    assert "engine='eager'" in line


BENCH = """
import contextlib, sys
from bpa.cli import main
with contextlib.redirect_stderr(sys.stdout):
    print(main(["bench", "--engines", "eager", "--rounds", "1", "--seconds", "0.01"]))
"""


@pytest.mark.parametrize(
    ("before", "variables", "reason"),
    [
        ("", {"NUMBA_DISABLE_JIT": "1"}, "compiling is switched off, by NUMBA_DISABLE_JIT"),
        ("sys.modules['numba'] = None", {}, "import of numba halted; None in sys.modules"),
    ],
)
def test_bench_says_in_one_line_that_nothing_can_be_compiled(tmp_path, before, variables, reason, forked):
    script = BENCH.replace("from bpa.cli", f"{before}\nfrom bpa.cli")
    said_by = said(script, tmp_path, run=forked, **variables)
    assert said_by == [
        f"bpa: error: bench needs a Numba that works, to measure this machine by: {reason}",
        "2",
    ]


@pytest.fixture(scope="module")
def whole_cache(tmp_path_factory, forked):
    """A cache folder that holds the first kernel."""
    folder = tmp_path_factory.mktemp("cache")
    assert said(FIRST_KERNEL, folder, run=forked) == ["bpa.engines.numba"] * 2
    return folder


@pytest.mark.parametrize(
    ("ending", "damaged"),
    [
        ("nbi", lambda whole: b""),
        ("nbi", lambda whole: whole[: len(whole) // 2]),
        ("nbi", lambda whole: b"c__main__\nnothing\n."),
        ("nbc", lambda whole: b""),
        ("nbc", lambda whole: whole[: len(whole) // 2]),
    ],
    ids=["no index", "half an index", "another index", "no code", "half a code"],
)
def test_a_damaged_cache_is_compiled_anew(whole_cache, tmp_path, damaged, ending, forked):
    shutil.copytree(whole_cache, tmp_path, dirs_exist_ok=True)
    files = list(tmp_path.rglob(f"*dot*.{ending}"))
    assert files
    for file in files:
        file.write_bytes(damaged(file.read_bytes()))
    assert_goes_on_with_numba(said(FIRST_KERNEL, tmp_path, run=forked), str(tmp_path))


def test_a_cache_folder_on_a_full_disk(tmp_path, forked):
    assert_goes_on_with_numba(said(FIRST_KERNEL, tmp_path, FULL_DISK, forked), str(tmp_path))
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_no_cache_folder_at_all(tmp_path, forked):
    before = """
from numba.core import caching
caching.CacheImpl._locator_classes = []
"""
    variables = {"NUMBA_CACHE_DIR": "", "NUMBA_CACHE_LOCATOR_CLASSES": ""}
    warning, *names = said(FIRST_KERNEL, tmp_path, before, forked, **variables)
    assert warning.startswith(
        "WARNING Numba has no folder for its cache (RuntimeError: cannot cache function"
    )
    assert names == ["bpa.engines.numba"] * 2


def test_a_numba_that_computes_nonsense_is_not_used(monkeypatch):
    from bpa.engines import numba

    monkeypatch.setattr(vectors, "dot", lambda *vectors_and_places: 0)
    with pytest.raises(RuntimeError, match="a product of two vectors is wrong"):
        numba.try_out()
