"""Settings of all tests."""

import importlib
import importlib.util
import logging

import hypothesis
import pytest
import torch

# No deadline: a slow machine is no failure, and the first call of anything in torch is slow.
hypothesis.settings.register_profile("bpa", deadline=None, print_blob=True)
hypothesis.settings.load_profile("bpa")

# The fonts are scanned here and once, and an unwritable home is replaced: Matplotlib would say both on the
# stderr of commands whose stderr is compared.
matplotlib_says = logging.getLogger("matplotlib")
matplotlib_says.setLevel(logging.ERROR)
importlib.import_module("matplotlib.font_manager")
matplotlib_says.setLevel(logging.NOTSET)


if importlib.util.find_spec("triton") and not torch.cuda.is_available():
    # Triton is read once, and for its interpreter that must be while the variable is set: now, before a test
    # reads it. PyTorch's compiler and its optimisers do.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        importlib.import_module("bpa.engines.triton_kernels")


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
