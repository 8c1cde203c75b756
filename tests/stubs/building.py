"""Makes the programs here runnable in a folder: stubs by protoc, those of Go and Java compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
PROTO = "podium/v1/worker.proto"
BIN = Path(sys.executable).parent
MODULE = "podium.test/stubs"
PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
)


def python_worker(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command and its environment; the stubs are in `folder`, before Podium's own."""
    generate(f"--python_out={folder}", f"--grpc_python_out={folder}")
    for package in ("podium", "podium/v1"):
        # Podium is installed here too: its package would win over one without this file.
        (folder / package / "__init__.py").touch()
    program = Path(__file__).with_name("python") / "worker.py"
    return [sys.executable, str(program)], {"PYTHONPATH": str(folder)}


def go_worker(folder: Path) -> tuple[list[str], dict[str, str]]:
    """As `python_worker`; needs the part go."""
    shutil.copytree(Path(__file__).with_name("go"), folder, dirs_exist_ok=True)
    go(folder, "build", "-o", f"{folder}/bin/", *PLUGINS)
    where = f"module={MODULE},M{PROTO}={MODULE}/podium/v1"
    generate(
        *(f"--plugin={plugin}" for plugin in (folder / "bin").iterdir()),
        *(f"--go_out={folder}", f"--go_opt={where}"),
        *(f"--go-grpc_out={folder}", f"--go-grpc_opt={where}"),
    )
    go(folder, "vet", ".")
    go(folder, "build", "-trimpath", "-o", "bin/worker", ".")
    return [str(folder / "bin/worker")], {}


def java_client(folder: Path) -> list[str]:
    """The command of the program that uses Conductor's client; needs the part java."""
    libraries = f"{BIN.parent}/java/*"
    lint = "-Xlint:all,-try,-classfile,-path"
    done = subprocess.run(
        [
            *(str(BIN / "javac"), "-proc:none", lint, "-Werror", "-encoding", "UTF-8"),
            *("--release", "17", "-cp", libraries, "-d", str(folder)),
            *map(str, sorted(Path(__file__).with_name("java").glob("*.java"))),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return [str(BIN / "java"), "-cp", f"{libraries}:{folder}", "Main"]


def generate(*outputs: str) -> None:
    """Run protoc over the one file that a worker needs."""
    known = Path(protoc.__file__).parent / "_proto"
    assert protoc.main(["protoc", f"-I{PROTOS}", f"-I{known}", *outputs, PROTO]) == 0, outputs


def go(folder: Path, *arguments: str) -> None:
    """Run the Go command of the part go; what go.mod and go.sum pin is not changed."""
    environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    done = subprocess.run(
        [BIN / "go", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
