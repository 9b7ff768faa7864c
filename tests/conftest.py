"""Settings of all tests."""

import hypothesis
import pytest
import torch

# No deadline: a slow machine is no failure, and the first call of anything in torch is slow.
hypothesis.settings.register_profile("bpa", deadline=None, print_blob=True)
hypothesis.settings.load_profile("bpa")


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
