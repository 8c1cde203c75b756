"""Scripts as definitions write them: names of their languages, and their form as programs."""

from __future__ import annotations

from typing import Final

JAVASCRIPT: Final = "javascript"
VALUE_PARAM: Final = "value-param"
SCRIPTS: Final = frozenset({JAVASCRIPT, "graaljs"})
"""Evaluators whose expression is JavaScript (S-329)."""
EVALUATORS: Final = (JAVASCRIPT, "graaljs", VALUE_PARAM)
"""All evaluators that are served, as messages list them."""


def body(script: str) -> str:
    """The program that runs `script` as the body of a function; its line numbers stay."""
    return f"(function () {{{script}\n}})()"
