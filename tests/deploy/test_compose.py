"""The compose file's own settings, run: its Redis, its two servers, one workflow over both.

No container is made: the commands and variables are taken from the file, with addresses of this
machine in place of the compose network's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import grpc.aio
import pytest
import yaml

from tests.cli.serving import serving
from tests.deploy.first_workflow import task_of_a_started_workflow
from tests.store.nodes import Node

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
SERVERS: Final = ("one", "two")


def services() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_ports_of_servers_that_ask_nobody_are_on_loopback_only() -> None:
    for name in SERVERS:
        service = services()[name]
        assert service["environment"]["PODIUM_GRPC_INSECURE"] == "true"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name


@pytest.mark.part("redis-server")
@pytest.mark.timeout(90)
async def test_what_one_server_starts_a_worker_of_the_other_does(tmp_path: Path) -> None:
    named = services()
    settings = named["redis"]["command"]
    assert settings[0] == "redis-server"
    with Node(tmp_path, *settings[1:]) as redis:
        one, two = (here(named[name]["environment"], redis) for name in SERVERS)
        async with (
            serving(**one) as first,
            serving(**two) as second,
            grpc.aio.insecure_channel(first.target) as starts,
            grpc.aio.insecure_channel(second.target) as works,
        ):
            await task_of_a_started_workflow(starts, works)


def here(environment: dict[str, str], redis: Node) -> dict[str, str]:
    """The variables, with places of this machine."""
    url = environment["PODIUM_STORE_URL"].replace("redis://redis:6379", redis.url)
    assert url.startswith(redis.url)
    return {
        **environment,
        "PODIUM_STORE_URL": url,
        "PODIUM_GRPC_LISTEN": "127.0.0.1:0",
        "PODIUM_GATEWAY_LISTEN": "127.0.0.1:0",
    }
