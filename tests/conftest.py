"""What holds for every test: the table of external parts and the hypothesis profiles.

Fixtures do not live here: each folder keeps its own beside the tests that use them.
"""

import os

from hypothesis import settings

pytest_plugins = ["tests.parts", "tests.conformance.completeness", "pytester"]

# No deadline: the machine is shared, and time limits are pytest-timeout's job. CI draws the same
# examples each time, so that a change is never judged by the luck of another one.
settings.register_profile("dev", deadline=None, max_examples=50, print_blob=True)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("nightly", settings.get_profile("dev"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))
