"""Where the engine is known to differ from the facts: the least definition of each difference.

Each fails until the engine is changed; its entry in KNOWN (test_nestings.py) goes with it. That
the model follows the fact is shown by the same test, which passes up to the engine's part.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.reference.generator import Case, Workers
from tests.reference.test_nestings import KNOWN, Found, by_engine, by_model

Json = dict[str, Any]


class Told(Workers):
    """Work in the order of the references' names; what is named fails."""

    def __init__(self, *failing: str) -> None:
        super().__init__(seed=0, failing=0.0, hopeless=0.0)
        object.__setattr__(self, "named", failing)
