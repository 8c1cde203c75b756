"""A real server process for the corpus test: `podium serve`, a free port, a temporary store.

Other programs that take the same arguments may serve instead (uncached.py, alternating.py).
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

SEARCH_NAME: Final = "localhost:9200"
PUBLIC_NAME: Final = "datausa.io:443"
ROOT: Final = Path(__file__).resolve().parents[2]
PODIUM: Final = (str(Path(sys.executable).parent / "podium"),)
START_S: Final = 15
STOP_S: Final = 15


@contextmanager
def closed_port() -> Iterator[str]:
    """An address nothing listens on, and nobody else can take meanwhile: bound, never listening."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{closed.getsockname()[1]}"


@contextmanager
def serving(
    folder: Path, search: AbstractContextManager[str], program: Sequence[str] = PODIUM
) -> Iterator[str]:
    """The address of a server that lives as long as the context. `folder` is for its files.

    What the HTTP tasks of the corpus ask is at the address that `search` gives: localhost:9200, and
    a public server whose certificate nobody there has.
    """
    with search as found_at:
        config = folder / "podium.toml"
        names = ", ".join(f'"{name}" = "{found_at}"' for name in (SEARCH_NAME, PUBLIC_NAME))
        config.write_text(f"[http]\nresolve = {{ {names} }}\n")
        arguments = ["serve", str(config), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        arguments += ["--store", f"sqlite:///{folder}/podium.db"]
        with (folder / "stderr").open("wb") as stderr:
            server = subprocess.Popen(
                [*program, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT
            )
        try:
            yield address_of(server, folder)
        finally:
            server.terminate()
            try:
                server.communicate(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.communicate()
                raise
    assert server.returncode == 0, (folder / "stderr").read_text()


def module(name: str) -> tuple[str, ...]:
    """The program of a module beside this one."""
    return sys.executable, "-m", f"tests.corpus.{name}"


def address_of(server: subprocess.Popen[str], folder: Path) -> str:
    """Wait for the line that says where it serves."""
    assert server.stdout is not None
    ready, _, _ = select.select([server.stdout], [], [], START_S)
    line = server.stdout.readline() if ready else ""
    errors = (folder / "stderr").read_text()
    assert line, f"expected the line of a serving server in {START_S} s, found none: {errors}"
    event = json.loads(line)
    assert event["event"] == "serving", event
    return event["grpc"]


def last_words(folder: Path) -> dict[str, Any]:
    """What a server of the tests counted: the last line that it wrote, once it has ended."""
    return json.loads((folder / "stderr").read_text().splitlines()[-1])
