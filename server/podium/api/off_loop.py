"""Conversions that would block the loop: large ones run in a thread, small ones where they are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from podium.model.payload import Payload

LARGE_BYTES: Final = 256 * 1024

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def convert(
    size_bytes: int,
    function: Callable[Given, Result],
    *arguments: Given.args,
    **named: Given.kwargs,
) -> Result:
    """The function's result; above LARGE_BYTES it must not touch what the loop changes."""
    if size_bytes <= LARGE_BYTES:
        return function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


def fields_size(fields: Mapping[str, bytes]) -> int:
    """Bytes of a `map<string, Value>`."""
    return sum(map(len, fields.values()))


def payloads_size(payloads: Iterable[Payload]) -> int:
    """Bytes of payloads as JSON."""
    return sum(len(payload) for payload in payloads)
