"""The command line: reads arguments, starts what they name, turns failures into a line and a code.

Exit codes: 0 done, 1 a demo that went wrong, 2 wrong arguments, settings or surroundings. Libraries
of the server are loaded only by the command that needs them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DONE: Final = 0
WRONG: Final = 2
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
    commands.add_parser("demo", help="run the kitchen-sink workflow on a server of its own")
    return top


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


def demo(options: argparse.Namespace) -> int:
    """`podium demo`."""
    del options
    from podium.cli.demo import run_demo  # noqa: PLC0415 - see above

    return run_demo()


COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "serve": serve,
    "key": make_key,
    "demo": demo,
}


def complain(text: str) -> None:
    """One line for whoever started this."""
    print(f"podium: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
