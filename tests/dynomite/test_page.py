"""docs/stores.md: the lines for Dynomite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.deploy.test_stores_page import BLOCKS, run, serve_and_work

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dynomite.conftest import Dynomite

pytestmark = [pytest.mark.part("redis-server"), pytest.mark.timeout(120)]


async def test_the_lines_give_a_server_that_works(dynomite: Dynomite, tmp_path: Path) -> None:
    """But for the two that start Redis and Dynomite, in whose place the one under test is."""
    (lines,) = (lines for name, lines in BLOCKS if name == "Dynomite")
    redis, written, started, last = lines.splitlines()
    assert started == "dynomite -d -c dynomite.yml"

    # given the file that they write, which names their Redis
    await run(written, tmp_path)
    node = yaml.safe_load((tmp_path / "dynomite.yml").read_text())["dyn_o_mite"]
    assert node["hash_tag"] == "{}"
    (behind,) = node["servers"]
    assert f"--port {behind.split(':')[1]} " in redis

    # when the last line is run, then a workflow is done
    url = f"dynomite://{node['listen']}"
    assert last == f"podium serve --store {url}"
    await serve_and_work(last.replace(url, dynomite.url), tmp_path)
    assert dynomite.offences == []
