"""The configuration: a TOML file, `PODIUM_<SECTION>_<KEY>` of the environment, the command line.

Rules: the only module that reads the environment; everything else is given settings. What is not
known is refused by name, since a misspelt limit that is passed over is found out too late. Nothing
here is opened, resolved or created.

Failures: SettingInvalid (the place in the file or the variable, what was expected, what was found).
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, TypeAlias

import msgspec

from podium.config_protection import Auth, Count, Grpc, Limits, Tls
from podium.config_retention import Retention
from podium.config_store import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from podium.model.payload import JsonObject, JsonValue

    Name: TypeAlias = tuple[str, str]
    """Section and key of a setting."""

Source: TypeAlias = Literal["environment", "none"]
Prefix: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_]*$")]
"""Never empty: that would show the server's whole environment (S-518)."""

PREFIX: Final = "PODIUM_"
# Kubernetes puts these into every container beside a service of that name; they are not ours.
FOREIGN: Final = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$"
)
MISFIT: Final = re.compile(r"Expected (?P<expected>.*?)(, got .*?)?( - at `\$(?P<path>.*)`)?$")
PORT_LIMIT: Final = 65_535
TRUTHS: Final = {"true": True, "false": False}


class SettingInvalid(Exception):
    """A setting that cannot be used: where it stands, what was expected, what was found."""


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`: the HTTP listener (health, metrics). `listen`: as of gRPC; "" = none."""

    listen: str = "127.0.0.1:8080"


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: lines on stderr (telemetry/log_line.py). At debug, texts of exceptions, too."""

    format: Literal["json", "text"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "warning"


class Trace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[trace]`: spans by OTLP over HTTP to `endpoint` (http://host:4318/v1/traces); "" = none."""

    endpoint: str = ""
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """Of the executions whose start names no trace, so many begin one."""
    delay_ms: Count = 1_000


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[http]`: what HTTP tasks may reach (tasks/address.py) and use."""

    allow: tuple[str, ...] = ()
    resolve: dict[str, str] = {}
    tasks_max: Count = 100
    """Requests in flight at once; others wait in their queue."""
    total_ms_limit: Count = 30_000
    lookup_ms_limit: Count = 5_000
    body_bytes_limit: Count = 1024 * 1024


class Sandbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[sandbox]`: where scripts of definitions run."""

    children: Count = 2
    """Processes, each of which runs one script at a time; started when the first script comes."""


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[secrets]`: what `${workflow.secrets.NAME}` names. The values are no settings and are never
    printed; `source` none = there are none.
    """

    source: Source = "environment"
    prefix: Prefix = "CONDUCTOR_SECRET_"
    """The secret NAME is the variable of the server's environment with this before its name."""


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[environment]`: what `${workflow.env.NAME}` names, as Secrets; these values are stored."""

    source: Source = "environment"
    prefix: Prefix = "CONDUCTOR_ENV_"


class Values(NamedTuple):
    """What the server's environment gives to definitions, by name."""

    secrets: dict[str, str]
    environment: dict[str, str]

    def __repr__(self) -> str:
        return f"Values({len(self.secrets)} secrets, {len(self.environment)} values)"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator may set."""

    grpc: Grpc = Grpc()
    gateway: Gateway = Gateway()
    log: Log = Log()
    trace: Trace = Trace()
    tls: Tls = Tls()
    auth: Auth = Auth()
    store: Store = Store()
    retention: Retention = Retention()
    http: Http = Http()
    limits: Limits = Limits()
    sandbox: Sandbox = Sandbox()
    secrets: Secrets = Secrets()
    environment: Environment = Environment()


SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "grpc": Grpc,
    "gateway": Gateway,
    "log": Log,
    "trace": Trace,
    "tls": Tls,
    "auth": Auth,
    "store": Store,
    "retention": Retention,
    "http": Http,
    "limits": Limits,
    "sandbox": Sandbox,
    "secrets": Secrets,
    "environment": Environment,
}


def read_settings(
    path: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[Name, str | bool | int] | None = None,
) -> Settings:
    """The settings of a file (None = none), the environment and the command line, later ones win.

    Shape: `overrides` by (section, key). Raises SettingInvalid.
    """
    environment = os.environ if environment is None else environment
    document = {} if path is None else _of_file(path)
    place = "configuration" if path is None else str(path)
    _refuse_unknown(document, place)
    for (section, key), value in {**_of_environment(environment), **(overrides or {})}.items():
        table = document.setdefault(section, {})
        if not isinstance(table, dict):
            raise SettingInvalid(f"{place}: expected a table {section}, found {table!r}")
        table[key] = value
    settings = _convert(document, place)
    if not settings.store.url:
        url = f"sqlite:///{default_database(environment)}"
        store = msgspec.structs.replace(settings.store, url=url)
        settings = msgspec.structs.replace(settings, store=store)
    read_listen(settings.grpc.listen)
    if settings.gateway.listen:
        read_listen(settings.gateway.listen, "gateway.listen")
    _refuse_own(settings)
    return settings


def origins_of(
    path: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[Name, str | bool | int] | None = None,
) -> dict[Name, str]:
    """Where each setting is from that is not a default, as `read_settings` reads them: "file PATH",
    "environment VARIABLE" or "command line". Raises SettingInvalid.
    """
    environment = os.environ if environment is None else environment
    found: dict[Name, str] = {}
    for section, table in ({} if path is None else _of_file(path)).items():
        for key in table if isinstance(table, dict) else ():
            found[section, key] = f"file {path}"
    for section, key in _of_environment(environment):
        found[section, key] = f"environment {f'{PREFIX}{section}_{key}'.upper()}"
    found.update(dict.fromkeys(overrides or {}, "command line"))
    return found


def read_values(settings: Settings, environment: Mapping[str, str] | None = None) -> Values:
    """The values of secrets and of environment values, read once. Raises SettingInvalid."""
    environment = os.environ if environment is None else environment
    return Values(
        _values(settings.secrets, environment), _values(settings.environment, environment)
    )


def _values(settings: Secrets | Environment, environment: Mapping[str, str]) -> dict[str, str]:
    if settings.source == "none":
        return {}
    found: dict[str, str] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(settings.prefix)
        if name == variable or not name:
            continue
        if not _is_utf8(variable) or not _is_utf8(text):
            raise SettingInvalid(f"environment: expected UTF-8 in {variable!a}, found other bytes")
        found[name] = text
    return found


def _is_utf8(text: str) -> bool:
    """Bytes of other encodings come as lone surrogates, which no JSON can hold."""
    return text.isprintable() or text.encode(errors="ignore").decode() == text


def _refuse_own(settings: Settings) -> None:
    """Variables of this prefix are settings, where an unknown name is an error."""
    for section in ("secrets", "environment"):
        prefix = getattr(settings, section).prefix
        if prefix.upper().startswith(PREFIX):
            raise SettingInvalid(
                f"{section}.prefix: expected one that does not begin with {PREFIX}, whose variables"
                f" are settings, found {json.dumps(prefix)}"
            )


def read_listen(text: str, setting: str = "grpc.listen") -> tuple[str, int]:
    """Host and port of the setting of that name. Raises SettingInvalid."""
    host, colon, port = text.rpartition(":")
    bare = not host.startswith("[") and ":" in host
    if not colon or not host or bare or not (port.isascii() and port.isdigit()):
        raise SettingInvalid(
            f"{setting}: expected HOST:PORT (IPv6 in brackets), found {json.dumps(text)}"
        )
    if int(port) > PORT_LIMIT:
        raise SettingInvalid(f"{setting}: expected a port <= {PORT_LIMIT}, found {port}")
    return host, int(port)


def default_database(environment: Mapping[str, str]) -> Path:
    """The database in the user's data folder (XDG_DATA_HOME)."""
    home = environment.get("XDG_DATA_HOME", "")
    folder = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share"
    return folder / "podium" / "podium.db"


def plain_environment() -> dict[str, str]:
    """The environment without settings of ours, for a server that a file configures alone."""
    return {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}


def quiet_grpc() -> None:
    """Before grpc is loaded: its C core would write lines of its own form to stderr."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def to_toml(settings: Settings) -> str:
    """The settings as the file that would give them."""
    document: dict[str, dict[str, JsonValue]] = msgspec.to_builtins(settings)
    lines: list[str] = []
    for section, table in document.items():
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        lines += [f"{key} = {_toml_value(value)}" for key, value in table.items()]
    return "\n".join(lines)


def _toml_value(value: JsonValue) -> str:
    """JSON is TOML for all but tables."""
    if isinstance(value, dict):
        pairs = ", ".join(
            f"{json.dumps(name)} = {json.dumps(each)}" for name, each in value.items()
        )
        return f"{{ {pairs} }}" if pairs else "{}"
    return json.dumps(value)


def _of_file(path: Path) -> JsonObject:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "bytes that are not UTF-8"
        raise SettingInvalid(
            f"{path}: expected a configuration file in TOML, found {reason}"
        ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise SettingInvalid(f"{path}: expected TOML, found an error: {problem}") from None


def _of_environment(environment: Mapping[str, str]) -> dict[Name, JsonValue]:
    """By (section, key). Shape: lists stand with commas, tables as "name=value" with commas."""
    values: dict[Name, JsonValue] = {}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or FOREIGN.search(variable):
            continue
        section, _, key = variable.removeprefix(PREFIX).lower().partition("_")
        if section not in SECTIONS or key not in _keys(SECTIONS[section]):
            known = [
                f"{PREFIX}{name}_{each}".upper()
                for name, struct in SECTIONS.items()
                for each in _keys(struct)
            ]
            raise SettingInvalid(f"environment: expected one of {_listed(known)}, found {variable}")
        default = getattr(SECTIONS[section](), key)
        values[section, key] = _of_text(variable, text, default)
    return values


def _of_text(variable: str, text: str, default: object) -> JsonValue:
    """The text of a variable in the shape of the setting's default."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if isinstance(default, tuple):
        return [*words]
    if isinstance(default, dict):
        pairs = [word.partition("=") for word in words]
        if not all(equals for _, equals, _ in pairs):
            raise SettingInvalid(f"{variable}: expected NAME=VALUE, ..., found {json.dumps(text)}")
        return {name.strip(): value.strip() for name, _, value in pairs}
    if isinstance(default, bool):
        if text not in TRUTHS:
            raise SettingInvalid(f"{variable}: expected true or false, found {json.dumps(text)}")
        return TRUTHS[text]
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise SettingInvalid(
                f"{variable}: expected a whole number, found {json.dumps(text)}"
            ) from None
    return text


def _refuse_unknown(document: JsonObject, place: str) -> None:
    for section, table in document.items():
        if section not in SECTIONS:
            found = json.dumps(section)
            raise SettingInvalid(f"{place}: expected one of {_listed(SECTIONS)}, found {found}")
        known = _keys(SECTIONS[section])
        for key in table if isinstance(table, dict) else ():
            if key not in known:
                raise SettingInvalid(
                    f"{place}: {section}: expected one of {_listed(known)}, found {json.dumps(key)}"
                )


def _convert(document: JsonObject, place: str) -> Settings:
    try:
        return msgspec.convert(document, Settings)
    except msgspec.ValidationError as problem:
        misfit = MISFIT.match(str(problem))
        if misfit is None:
            raise SettingInvalid(f"{place}: {problem}") from None
        path = (misfit["path"] or "").removeprefix(".")
        expected = misfit["expected"].replace("`", "")
        raise SettingInvalid(
            f"{place}: {path}: expected {expected}, found {_found(document, path)}"
        ) from None


def _found(document: JsonObject, path: str) -> str:
    """The value at a path of msgspec as far as it can be followed, in JSON, cut."""
    value: JsonValue = document
    for name in path.replace("[...]", "").split("."):
        if isinstance(value, dict) and name in value:
            value = value[name]
    return json.dumps(value, default=str)[:200]


def _keys(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return struct.__struct_fields__


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
