"""Settings of all tests."""

import hypothesis

# No deadline: a slow machine is no failure, and the first call of anything in torch is slow.
hypothesis.settings.register_profile("bpa", deadline=None, print_blob=True)
hypothesis.settings.load_profile("bpa")
