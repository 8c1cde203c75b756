"""`python -m tests.attack.attacker NAME HOST:PORT`: one attack as a process of its own.

It prints a line once it has begun, attacks until its stdin is closed, and then prints what it did:
{"acts", "connections", "sent_away"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress

from tests.attack.attacks import ATTACKS
from tests.attack.tally import Tally

LOOK_S = 0.02


async def attack(name: str, address: str) -> Tally:
    """Until stdin is closed."""
    tally = Tally()
    attacking = asyncio.ensure_future(ATTACKS[name](address, tally))
    while tally.acts == 0 and not attacking.done():  # noqa: ASYNC110 - it has no signal
        await asyncio.sleep(LOOK_S)
    print(json.dumps({"event": "attacking"}), flush=True)
    closing = asyncio.ensure_future(asyncio.to_thread(sys.stdin.buffer.read))
    await asyncio.wait((attacking, closing), return_when=asyncio.FIRST_COMPLETED)
    if attacking.done():
        await attacking  # an attack never ends by itself: tell why it did
    attacking.cancel()
    with suppress(asyncio.CancelledError):
        await attacking
    return tally


def main() -> None:
    """The tally on stdout."""
    name, address = sys.argv[1:]
    print(json.dumps(vars(asyncio.run(attack(name, address)))), flush=True)


if __name__ == "__main__":
    main()
