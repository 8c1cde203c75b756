"""The image: what is copied into it is there, and its lock pins what the server needs.

No image is built where no container can be. `make wheel-check` runs the wheel that is put into it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
PIN: Final = re.compile(r"^([a-z0-9._-]+)(?:\[.*?\])?==(\S+)", re.MULTILINE)
NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


def test_the_image_is_built_from_what_is_there() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    build = compose["services"]["one"]["build"]
    context = (ROOT / "deploy" / build["context"]).resolve()
    lines = (context / build["dockerfile"]).read_text().replace("\\\n", " ").splitlines()
    copied = [
        source
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert {"requirements-server.lock", "server", "workers"} <= set(copied)
    assert not [source for source in copied if not (context / source).exists()]


def test_its_lock_pins_what_the_server_needs_as_the_tests_have_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["server"], *extras["otel"]]
    names = {found.group().lower() for each in needed if (found := NAME.match(each))}
    server, tested = pins("requirements-server.lock"), pins("requirements.lock")
    assert names <= server.keys()
    assert server.items() <= tested.items()
