"""The command line: reads arguments, starts what they name, turns failures into a line and a code.

Exit codes: 0 done, 1 a demo that went wrong or findings that stay, 2 wrong arguments, settings or
surroundings. Libraries of the server are loaded only by the command that needs them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DONE: Final = 0
FOUND: Final = 1
WRONG: Final = 2
SERVER: Final = "127.0.0.1:8090"
"""Where a server listens by default."""
SERVER_LIBRARIES: Final = frozenset(
    {
        "aiohttp",
        "cryptography",
        "google.rpc",
        "grpc_health",
        "grpc_reflection",
        "jwt",
        "msgspec",
        "orjson",
        "uvloop",
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    options = parser().parse_args(arguments)
    try:
        return COMMANDS[options.command](options)
    except ModuleNotFoundError as absent:
        if absent.name not in SERVER_LIBRARIES:
            raise
        complain(
            f"expected the server's libraries, found no {absent.name}: pip install 'podium[server]'"
        )
        return WRONG


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(
        prog="podium", description="Workflow orchestration server, compatible with Conductor."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser("serve", help="run a server until SIGTERM or SIGINT")
    serving.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="a TOML file")
    serving.add_argument("--grpc", metavar="HOST:PORT", help="listen there; port 0 = a free one")
    serving.add_argument(
        "--http", metavar="HOST:PORT", help="health and metrics there; port 0 = a free one"
    )
    serving.add_argument(
        "--store", metavar="URL", help="memory://, sqlite:///relative or sqlite:////absolute"
    )
    serving.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="server processes on the gRPC port; process k has the HTTP port + k",
    )
    serving.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    serving.add_argument(
        "--insecure",
        action="store_true",
        help="serve without TLS and credentials also where others can reach it",
    )
    serving.add_argument(
        "--print-config", action="store_true", help="print the settings as TOML and end"
    )
    key = commands.add_parser("key", help="make an API key, and the line that a server knows it by")
    key.add_argument("name", metavar="NAME", help="who will show it")
    key.add_argument("roles", metavar="ROLE[+ROLE]", help="reader, worker, writer or admin")
    key.add_argument("expires", nargs="?", metavar="EXPIRES", help="such as 2027-01-31")
    add_admin(commands.add_parser("admin", help="look at, mend and copy what is stored"))
    commands.add_parser("demo", help="run the kitchen-sink workflow on a server of its own")
    return top


def add_admin(top: argparse.ArgumentParser) -> None:
    """The grammar of `podium admin`."""
    tasks = top.add_subparsers(dest="task", required=True, metavar="TASK")
    copying = tasks.add_parser("copy", help="all of a store into another; no server may use them")
    copying.add_argument("--from", dest="source", required=True, metavar="URL")
    copying.add_argument("--to", dest="target", required=True, metavar="URL")
    verifying = tasks.add_parser("verify", help="compare what is stored with what follows from it")
    verifying.add_argument("partitions", nargs="*", type=int, metavar="PARTITION", help="0 to 255")
    verifying.add_argument("--repair", action="store_true", help="mend what is found")
    repairing = tasks.add_parser("repair", help="verify, mend and decide one execution again")
    repairing.add_argument("workflow_id", metavar="WORKFLOW")
    rebuilding = tasks.add_parser("rebuild-queues", help="make queues anew from what is stored")
    rebuilding.add_argument("task_type", nargs="?", default="", metavar="TASK_TYPE")
    for asking in (verifying, repairing, rebuilding):
        asking.add_argument(
            "--server", default=SERVER, metavar="HOST:PORT", help=f"its gRPC port ({SERVER})"
        )
        asking.add_argument("--ca", type=Path, metavar="FILE", help="certificates; TLS is used")
        asking.add_argument("--key", type=Path, metavar="FILE", help="holds an API key or a token")


def serve(options: argparse.Namespace) -> int:
    """`podium serve`."""
    from podium.config import (  # noqa: PLC0415 - see above
        SettingInvalid,
        origins_of,
        quiet_grpc,
        read_settings,
        to_toml,
    )

    config: Path | None = options.config
    grpc: str | None = options.grpc
    http: str | None = options.http
    store: str | None = options.store
    insecure: bool | None = options.insecure or None
    processes: int | None = options.processes
    supervised: bool = options.supervised
    given = {
        ("grpc", "listen"): grpc,
        ("grpc", "insecure"): insecure,
        ("grpc", "processes"): processes,
        ("gateway", "listen"): http,
        ("store", "url"): store,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    try:
        settings = read_settings(config, overrides=overrides)
    except SettingInvalid as problem:
        complain(str(problem))
        return WRONG
    if options.print_config:
        print(to_toml(settings))
        return DONE
    quiet_grpc()
    from podium.place import CannotServe  # noqa: PLC0415 - see above

    try:
        if settings.grpc.processes > 1 and not supervised:
            from podium.processes.supervisor import supervise  # noqa: PLC0415 - see above

            return supervise(settings, words_of(options))
        from podium.bootstrap import run  # noqa: PLC0415 - see above

        run(settings, origins_of(config, overrides=overrides), supervised=supervised)
    except (CannotServe, SettingInvalid) as problem:
        complain(str(problem))
        return WRONG
    return DONE


def words_of(options: argparse.Namespace) -> list[str]:
    """The command line of a supervised process; the supervisor says where it listens."""
    config: Path | None = options.config
    store: str | None = options.store
    return [
        "serve",
        *([] if config is None else [str(config)]),
        *([] if store is None else ["--store", store]),
        *(["--processes", str(options.processes)] if options.processes else []),
        *(["--insecure"] if options.insecure else []),
    ]


def make_key(options: argparse.Namespace) -> int:
    """`podium key`: the key on the first line, what `auth.keys` takes on the second."""
    from podium.api.credentials import (  # noqa: PLC0415 - see above
        AuthSettingInvalid,
        key_line,
        read_key,
    )
    from podium.runtime.clock import new_secret  # noqa: PLC0415 - see above

    key = new_secret()
    line = key_line(key, options.name, options.roles, options.expires or "")
    try:
        read_key("podium key", line)
    except AuthSettingInvalid as problem:
        complain(str(problem))
        return WRONG
    print(f"{key}\n{line}")
    return DONE


def admin(options: argparse.Namespace) -> int:
    """`podium admin`."""
    from podium.cli.admin import AdminFailed  # noqa: PLC0415 - see above
    from podium.cli.admin_calls import Findings  # noqa: PLC0415 - see above

    try:
        for line in _admin_lines(options):
            print(line, flush=True)
    except Findings:
        return FOUND
    except AdminFailed as problem:
        complain(str(problem))
        return WRONG
    return DONE


def _admin_lines(options: argparse.Namespace) -> Iterable[str]:
    from podium.cli import admin, admin_calls  # noqa: PLC0415 - see above

    if options.task == "copy":
        source: str = options.source
        target: str = options.target
        return [admin.copy(source, target)]
    place = admin_calls.Place(options.server, options.ca, options.key)
    if options.task == "verify":
        return admin_calls.verify(place, partitions=options.partitions, repair=options.repair)
    if options.task == "repair":
        return admin_calls.repair_workflow(place, options.workflow_id)
    return admin_calls.rebuild_queues(place, options.task_type)


def demo(options: argparse.Namespace) -> int:
    """`podium demo`."""
    del options
    from podium.cli.demo import run_demo  # noqa: PLC0415 - see above

    return run_demo()


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "serve": serve,
    "key": make_key,
    "admin": admin,
    "demo": demo,
}


def complain(text: str) -> None:
    """One line for whoever started this."""
    print(f"podium: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
