"""See to what kernels need before they start: folders that can be written in, and a cache of fonts.

A page that writes to stderr fails, and there Matplotlib tells of its first scan of the fonts, if that takes
more than five seconds, and of a folder of settings that it cannot write in.  Others tell of theirs.

    python tools/prepare.py                builds the cache of fonts
    python tools/prepare.py COMMAND ...    and runs a command so prepared
"""

import atexit
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from jupyter_core import paths


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def folder_until_the_end() -> str:
    """A new folder, which is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="bpa-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def prepare() -> None:
    """Give this process and its children folders to write in, until it ends, and have the fonts scanned."""
    try:
        Path.home()
    except RuntimeError:  # neither the environment nor the list of users names one
        os.environ["HOME"] = folder_until_the_end()
    homes = {
        "IPYTHONDIR": os.environ.get("IPYTHONDIR") or Path("~/.ipython").expanduser(),
        "JUPYTER_CONFIG_DIR": paths.jupyter_config_dir(),
        "JUPYTER_DATA_DIR": paths.jupyter_data_dir(),
        "JUPYTER_RUNTIME_DIR": paths.jupyter_runtime_dir(),
    }
    for variable, folder in homes.items():
        if not writable(Path(folder)):
            os.environ[variable] = folder_until_the_end()
    # Matplotlib makes such a folder itself, names it in MPLCONFIGDIR and removes it at the end, but warns.
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        import matplotlib
        import matplotlib.font_manager

        matplotlib.get_configdir()
        matplotlib.get_cachedir()
    finally:
        log.setLevel(level)


def main() -> int:
    """Prepare, and run the command if one is given; its exit code."""
    prepare()
    if not sys.argv[1:]:
        return 0
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the command too, which decides
    return subprocess.run(sys.argv[1:]).returncode


if __name__ == "__main__":
    sys.exit(main())
