"""The vault: values of secrets and of environment values, and the edge where secrets are put in.

A task's record holds the texts `${workflow.secrets.NAME}` with marks of where they stand
(engine/secret.py). What is handed to a worker, a poller, a task of the server or a script is opened
here, and goes nowhere else. Where a record has no marks it is the record itself, unread: payloads
without secrets stay the bytes they came in. A value is in no repr, log or error text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

import orjson
from msgspec.structs import replace

from podium.engine.limits import PAYLOAD_BYTES_LIMIT
from podium.engine.schedule import too_large
from podium.engine.secret import OpenedTooLarge, opened, opened_text, value_of
from podium.engine.transition import Evaluated
from podium.model.payload import JsonObject, Payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from podium.engine.transition import Evaluate
    from podium.model.execution import SecretMark, TaskRecord
    from podium.runtime.mailbox import Evaluator


class CannotOpen(Exception):
    """A task whose input is over its limit with its secrets in place; `reason` tells no value."""

    def __init__(self, size: int) -> None:
        self.reason: Final = too_large("task input, its secrets in place,", size)
        super().__init__(self.reason)


class Vault:
    """Values by name. `environment`: what `${workflow.env.NAME}` names; these are no secrets."""

    def __init__(self, secrets: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._secrets: Final = dict(secrets)
        self.environment: Final = dict(environment)

    @property
    def secret_names(self) -> list[str]:
        """In the order of the alphabet."""
        return sorted(self._secrets)

    def opened(self, task: TaskRecord) -> TaskRecord:
        """The record to hand out: itself, or with its secrets in place. Raises CannotOpen."""
        if not task.secrets:
            return task
        try:
            given = Payload.of(self._opened(task.input, task.secrets))
        except OpenedTooLarge as large:
            raise CannotOpen(large.size) from None
        if len(given) > PAYLOAD_BYTES_LIMIT:
            raise CannotOpen(len(given))
        return replace(task, input=given)

    def runtime_metadata(self, task: TaskRecord) -> dict[str, str]:
        """What its worker is told beside the input: of each name the secret, or else the
        environment value; what is unknown is left out (S-260).
        """
        values = {**self.environment, **self._secrets} if task.runtime_metadata else {}
        return {name: values[name] for name in task.runtime_metadata if name in values}

    def redacted(self, text: str, marks: Iterable[SecretMark]) -> str:
        """A text about a task in which the secrets that its input names read as they are named."""
        for reference in {mark.reference for mark in marks}:
            value = value_of(reference, self._secrets)
            for spelled in spellings(value):
                text = text.replace(spelled, f"${{{reference}}}")
        return text

    def open_need(self, need: Evaluate) -> Evaluate:
        """The program and its input with their secrets in place. Raises OpenedTooLarge."""
        given = orjson.dumps(self._opened(Payload(need.input), need.secrets))
        if len(given) > PAYLOAD_BYTES_LIMIT:
            raise OpenedTooLarge(len(given))
        named = [mark.reference for mark in need.secrets if mark.path == need.program_path]
        program = need.program
        if named and need.program_path:
            found = opened_text(program, named, self._secrets, PAYLOAD_BYTES_LIMIT)
            program = found if isinstance(found, str) else ""
        return replace(need, input=given, program=program, secrets=())

    def _opened(self, payload: Payload, marks: tuple[SecretMark, ...]) -> JsonObject:
        value: JsonObject = orjson.loads(payload.json)  # a value of its own, to be edited
        return opened(value, marks, self._secrets, PAYLOAD_BYTES_LIMIT)


class OpeningEvaluator:
    """Gives programs the secrets that their tasks name; what they say of a failure has none."""

    def __init__(self, evaluator: Evaluator, vault: Vault) -> None:
        self._evaluator = evaluator
        self._vault = vault

    async def evaluate(self, need: Evaluate) -> Evaluated:
        if not need.secrets:
            return await self._evaluator.evaluate(need)
        try:
            ready = self._vault.open_need(need)
        except OpenedTooLarge as large:
            return Evaluated(error=CannotOpen(large.size).reason)
        found = await self._evaluator.evaluate(ready)
        if not found.error:
            return found
        return replace(found, error=self._vault.redacted(found.error, need.secrets))


def spellings(value: object) -> list[str]:
    """How a secret may stand in a text: as it is, as JSON has it, and in an address."""
    if value is None or value == "":
        return []
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    quoted = orjson.dumps(text).decode()[1:-1]
    known = {text, quoted, quote(text), quote(text, safe=""), quote_plus(text)}
    return sorted(known, key=len, reverse=True)


NO_SECRETS: Final = Vault({}, {})
"""Of a server to which nothing was given."""
