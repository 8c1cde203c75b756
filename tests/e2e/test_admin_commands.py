"""`podium admin verify | repair | rebuild-queues` beside a real server with and without keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.credentials import Keys
from tests.cli.serving import podium, serving
from tests.e2e.client import Client
from tests.store.nodes import Node, one_node

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(120)]


async def admin(*arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines said, and complaints."""
    code, said, complaints = await podium("admin", *arguments)
    return code, said.splitlines(), complaints


async def test_what_is_wrong_is_found_mended_and_gone(tmp_path: Path) -> None:
    with one_node(tmp_path, "--appendonly", "yes") as node:
        async with serving("--store", node.url) as server, Client(server.target) as client:
            await client.register("one")
            ids = [await client.start("one") for _ in range(3)]
            where = ("--server", server.target)
            assert await admin("verify", *where) == (0, ["3 executions: 0 findings"], "")
            assert await admin("repair", ids[0], *where) == (0, ["sound"], "")
            lose_ready(node, ids[0])
            partition = str(int(ids[0][:2], 16))
            code, said, _ = await admin("verify", partition, *where)
            assert code == 1
            assert said[-1].endswith(" 1 findings")
            assert said[0].startswith(f"{ids[0]} task {ids[0]}.")
            assert ": ready_missing: expected " in said[0]
            code, said, _ = await admin("verify", "--repair", *where)
            assert (code, said[-1]) == (0, "3 executions: 0 findings, 1 mended")
            assert said[0].endswith("(mended)")
            assert await admin("verify", *where) == (0, ["3 executions: 0 findings"], "")
            code, said, _ = await admin("rebuild-queues", "one", *where)
            assert (code, said) == (0, ["one: 3 before, 3 after", "1 queues"])
            code, said, complaints = await admin("repair", "absent", *where)
            assert (code, said) == (2, [])
            assert complaints.startswith("podium: NOT_FOUND: ")


def lose_ready(node: Node, workflow_id: str) -> None:
    """Take the ready entry away behind the server's back."""
    [key] = [
        key
        for key in node.ask("KEYS", "*ready")
        if any(field.startswith(workflow_id.encode()) for field in node.ask("HKEYS", key))
    ]
    assert node.ask("DEL", key) == 1


async def test_the_key_comes_from_a_file(tmp_path: Path) -> None:
    keys = Keys()
    (tmp_path / "key").write_text(f"{keys.shown['admin']}\n")
    (tmp_path / "config.toml").write_text(f"[auth]\nkeys = {list(keys.lines())!r}\n")
    async with serving(str(tmp_path / "config.toml"), "--store", "memory://") as server:
        where = ("--server", server.target)
        code, said, complaints = await admin("verify", *where)
        assert (code, said) == (2, [])
        assert complaints.startswith("podium: UNAUTHENTICATED: expected valid credentials")
        code, said, _ = await admin("verify", *where, "--key", str(tmp_path / "key"))
        assert (code, said) == (0, ["0 executions: 0 findings"])
        code, _, complaints = await admin("verify", *where, "--key", str(tmp_path / "absent"))
        assert code == 2
        assert "expected a key in" in complaints


async def test_no_server_is_said(tmp_path: Path) -> None:
    code, _, complaints = await admin("verify", "--server", f"unix:{tmp_path}/none")
    assert code == 2
    assert "found none" in complaints
