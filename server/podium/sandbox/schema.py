"""JSON Schema in the script child: what a schema finds wrong in a document.

The child loads this from its own folder, as it loads wire.py. Nothing is fetched, neither from the
network nor from a file. Messages name places and what was expected there, never a value of the
document: it may be one that is shown to nobody.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jsonschema_rs import ValidationError, Validator

    from podium.sandbox.wire import Failure, cut
else:
    from wire import Failure, cut

PROBLEMS_LIMIT: Final = 10
KEPT: Final = 64
KEPT_CHARS_LIMIT: Final = 16 * 1024
"""A longer schema is compiled for each document: its validator takes megabytes."""
LISTED_BYTES_LIMIT: Final = 64 * 1024
"""Of a longer document only the first problem is told: the library makes all of them at once."""
MASK: Final = "the value"


class Schemas:
    """Validators of schemas in JSON text. `Failure` is all they raise, but for MemoryError
    and worse.
    """

    def __init__(self) -> None:
        import jsonschema_rs  # noqa: PLC0415 - as the other interpreters, after the namespaces

        self._library = jsonschema_rs
        self._kept = lru_cache(KEPT)(self._compiled)

    def validator(self, schema: str) -> Validator:
        """Raises Failure where the schema cannot be understood."""
        return self._kept(schema) if len(schema) <= KEPT_CHARS_LIMIT else self._compiled(schema)

    def problems(self, schema: str, given: bytes) -> list[list[str]]:
        """[place, message] of each, the first few; empty where the document fits."""
        validator = self.validator(schema)
        try:
            document = json.loads(given)
            if validator.is_valid(document):
                return []
            if len(given) <= LISTED_BYTES_LIMIT:
                found = list(islice(validator.iter_errors(document), PROBLEMS_LIMIT))
            else:
                found = self._first(validator, document)
        except ValueError as error:
            raise Failure(
                cut(f"expected a document that can be checked, found: {error}")
            ) from error
        return [[cut(place_of(each.instance_path)), cut(each.message)] for each in found]

    def _first(self, validator: Validator, document: object) -> list[ValidationError]:
        try:
            validator.validate(document)
        except self._library.ValidationError as error:
            return [error]
        return []

    def _compiled(self, schema: str) -> Validator:
        library = self._library
        try:
            return library.validator_for(schema, mask=MASK, offline=True)
        except library.ValidationError as error:
            place, message = place_of(error.instance_path), error.message
        except (ValueError, library.ReferencingError) as error:
            place, message = "$", str(error)
        raise Failure(cut(f"expected a JSON Schema, found at {place}: {message}"))


def place_of(path: Sequence[str | int]) -> str:
    """The place in the form `$.a.b[0]`."""
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
