"""House rules of the protos: rpcs explain their codes, lint passes, generated code is current."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from tests.api.every.table import ROWS

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
BIN = Path(sys.executable).parent

CODES = {code.name for code in grpc.StatusCode}
# What any served call may meet; Connect and BatchPoll included.
COMMON = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL"}


class Rpc(NamedTuple):
    service: str
    name: str
    comment: str

    @property
    def codes(self) -> dict[str, str]:
        """Cause by status code, from lines such as "- NOT_FOUND: no execution has this id."."""
        _, _, listed = self.comment.partition("\nStatus codes:\n")
        entries = re.split(r"^- ", listed, flags=re.MULTILINE)[1:]
        return {code: cause.strip() for code, _, cause in (e.partition(":") for e in entries)}


def test_every_rpc_lists_its_status_codes_and_their_causes(subtests: pytest.Subtests) -> None:
    for rpc in rpcs():
        with subtests.test(f"{rpc.service}.{rpc.name}"):
            assert rpc.codes.keys() <= CODES
            assert all(re.fullmatch(r".{8,}\.", cause, re.DOTALL) for cause in rpc.codes.values())
            if f"{rpc.service}/{rpc.name}" in ROWS:
                assert rpc.codes.keys() >= COMMON
                assert "UNIMPLEMENTED" not in rpc.codes
            else:
                assert rpc.codes.keys() == {"UNIMPLEMENTED"}


def test_generated_code_is_current() -> None:
    status, output = run([sys.executable, str(PROTOS / "generate.py"), "--check"])
    assert (status, output) == (0, "")


def test_a_change_of_generated_code_is_noticed(tmp_path: Path) -> None:
    # Given a copy of the protos and their code, where one file differs, one is gone, one is new
    for part in ("protos", "server/podium/conductor", "server/podium/v1"):
        copy(ROOT / part, tmp_path / part)
    package = tmp_path / "server/podium/v1"
    (package / "worker_pb2.py").write_text("changed")
    (package / "workflow_pb2.pyi").unlink()
    (package / "left_pb2.py").write_text("left behind")
    generate = [sys.executable, str(tmp_path / "protos/generate.py")]

    # When the generator checks, then it names the three
    status, output = run([*generate, "--check"])
    assert status == 1
    assert output.splitlines() == [
        "not current: server/podium/v1/left_pb2.py",
        "not current: server/podium/v1/worker_pb2.py",
        "not current: server/podium/v1/workflow_pb2.pyi",
    ]

    # And when it runs, then they are as they should be
    assert run(generate)[0] == 0
    assert not (package / "left_pb2.py").exists()
    for name in ("worker_pb2.py", "workflow_pb2.pyi"):
        assert (package / name).read_bytes() == (ROOT / "server/podium/v1" / name).read_bytes()


def test_lint_passes_for_podiums_own_protos() -> None:
    status, output = run([str(BIN / "buf"), "lint", str(PROTOS)])
    assert (status, output) == (0, "")


def test_lint_would_find_a_field_without_a_comment(tmp_path: Path) -> None:
    copy(PROTOS, tmp_path / "protos")
    worker = tmp_path / "protos/podium/v1/worker.proto"
    worker.write_text(worker.read_text() + "\n// A message.\nmessage Odd {\n  int32 x = 1;\n}\n")
    status, output = run([str(BIN / "buf"), "lint", str(tmp_path / "protos")])
    assert status != 0
    assert 'Field "x" should have a non-empty comment' in output


def test_comments_fit_the_columns() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in PROTOS.rglob("*.proto")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 100
    ]
    assert long == []


def rpcs() -> Iterator[Rpc]:
    for file in described():
        comments = {
            tuple(place.path): place.leading_comments for place in file.source_code_info.location
        }
        for s, service in enumerate(file.service):
            for m, method in enumerate(service.method):
                # 6 = FileDescriptorProto.service, 2 = ServiceDescriptorProto.method
                comment = re.sub(r"^ ", "", comments[6, s, 2, m], flags=re.MULTILINE)
                yield Rpc(f"{file.package}.{service.name}", method.name, comment)


@cache
def described() -> tuple[FileDescriptorProto, ...]:
    """All protos, compiled with their comments."""
    paths = sorted(str(path) for path in PROTOS.rglob("*.proto"))
    options = [f"-I{PROTOS}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    with TemporaryDirectory() as folder:
        out = Path(folder, "protos.binpb")
        options += ["--include_source_info", f"--descriptor_set_out={out}"]
        assert protoc.main(["protoc", *options, *paths]) == 0
        return tuple(FileDescriptorSet.FromString(out.read_bytes()).file)


def run(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout


def copy(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and path.suffix in {".py", ".pyi", ".proto", ".yaml"}:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(source)).write_bytes(path.read_bytes())
