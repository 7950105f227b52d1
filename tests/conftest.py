"""For all tests: what a busy machine must not change."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline, for the machine may be busy; in continuous integration the same examples each time.
settings.register_profile("nightbell", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("nightbell")
