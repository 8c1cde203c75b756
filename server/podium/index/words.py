"""Free text: words that a document must hold, wherever they stand in it."""

from __future__ import annotations

import re
from typing import Final

from podium.index.query import Condition, Every, Words
from podium.index.unsound import VALUE_CHARS_MAX, QueryUnsound, shown

TERMS_MAX: Final = 64
FREE_TERM: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(\*?)|(\S+)')


def parse_words(text: str, place: str = "free_text") -> Condition:
    """Words that all must be there: each apart, or a "phrase"; with `*` at its end a word may go
    on. Blank and `*` = every document. Raises QueryUnsound.
    """
    if text.strip() in ("", "*"):
        return Every()
    if len(text) > VALUE_CHARS_MAX:
        raise QueryUnsound(
            f"{place}: expected at most {VALUE_CHARS_MAX} characters, found {len(text)}"
        )
    found = [_free_words(each) for each in FREE_TERM.finditer(text)]
    words = [each for each in found if has_word(each.text)]
    if not words or len(words) > TERMS_MAX:
        raise QueryUnsound(
            f"{place}: expected 1 to {TERMS_MAX} words, or * for everything, found {shown(text)}"
        )
    return words[0] if len(words) == 1 else Every(tuple(words))


def _free_words(found: re.Match[str]) -> Words:
    phrase, star, word = found.groups()
    if word is None:
        return Words(phrase, prefix=bool(star))
    return Words(word, prefix=word.endswith("*"))


def has_word(text: str) -> bool:
    """Whether there is anything in it to look for."""
    return any(char.isalnum() for char in text)
