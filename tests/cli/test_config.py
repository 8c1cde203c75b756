"""The configuration: what wins over what, and the words for what cannot be used."""

from pathlib import Path

import msgspec
import pytest

from podium.config import (
    SECTIONS,
    Environment,
    Grpc,
    Secrets,
    SettingInvalid,
    Settings,
    read_listen,
    read_settings,
    read_values,
    to_toml,
)

GRPC = ", ".join(Grpc.__struct_fields__)


def settings_of(folder: Path, text: str, **environment: str) -> Settings:
    path = folder / "podium.toml"
    path.write_text(text)
    return read_settings(path, environment=environment)


def complaint(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(SettingInvalid) as caught:
        settings_of(folder, text, **environment)
    return str(caught.value).replace(str(folder), "")


def test_without_anything_the_defaults_hold() -> None:
    settings = read_settings(None, environment={"XDG_DATA_HOME": "/data"})
    assert settings.grpc.listen == "127.0.0.1:8090"
    assert settings.store.url == "sqlite:////data/podium/podium.db"
    assert settings.http.allow == ()


def test_a_relative_data_folder_is_passed_over() -> None:
    settings = read_settings(None, environment={"XDG_DATA_HOME": "data"})
    assert settings.store.url == f"sqlite:///{Path.home()}/.local/share/podium/podium.db"


def test_the_file_loses_to_the_environment_and_that_to_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "podium.toml"
    path.write_text('[grpc]\nlisten = "127.0.0.1:1"\n[store]\nurl = "memory://"\n')
    environment = {"PODIUM_GRPC_LISTEN": "127.0.0.1:2", "PODIUM_HTTP_TOTAL_MS_LIMIT": "7"}

    from_environment = read_settings(path, environment=environment)
    from_line = read_settings(
        path, environment=environment, overrides={("grpc", "listen"): "127.0.0.1:3"}
    )

    assert from_environment.store.url == "memory://"
    assert from_environment.grpc.listen == "127.0.0.1:2"
    assert from_environment.http.total_ms_limit == 7
    assert from_line.grpc.listen == "127.0.0.1:3"


def test_lists_and_tables_of_the_environment(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        "",
        PODIUM_HTTP_ALLOW="10.0.0.0/8, api.example:8080",
        PODIUM_HTTP_RESOLVE="localhost:9200=127.0.0.1:1, a:2=[::1]:3",
    )
    assert settings.http.allow == ("10.0.0.0/8", "api.example:8080")
    assert settings.http.resolve == {"localhost:9200": "127.0.0.1:1", "a:2": "[::1]:3"}


def test_variables_of_kubernetes_services_are_not_taken_for_settings(tmp_path: Path) -> None:
    foreign = {
        "PODIUM_PORT": "tcp://10.0.0.1:8090",
        "PODIUM_SERVICE_HOST": "10.0.0.1",
        "PODIUM_GRPC_SERVICE_PORT_GRPC": "8090",
        "PODIUM_GRPC_PORT_8090_TCP_ADDR": "10.0.0.1",
    }
    assert settings_of(tmp_path, "", **foreign).grpc == Settings().grpc


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[grcp]\n",
            f'/podium.toml: expected one of {", ".join(SECTIONS)}, found "grcp"',
        ),
        (
            "[grpc]\nport = 1\n",
            f'/podium.toml: grpc: expected one of {GRPC}, found "port"',
        ),
        (
            "[grpc]\nlisten = 8090\n",
            "/podium.toml: grpc.listen: expected str, found 8090",
        ),
        (
            "[http]\nresolve = [1]\n",
            "/podium.toml: http.resolve: expected object, found [1]",
        ),
        (
            "[limits]\ncache_bytes = 0\n",
            "/podium.toml: limits.cache_bytes: expected int >= 1, found 0",
        ),
        (
            "grpc = 1\n",
            "/podium.toml: grpc: expected object, found 1",
        ),
        (
            '[grpc]\nlisten = "8090"\n',
            'grpc.listen: expected HOST:PORT (IPv6 in brackets), found "8090"',
        ),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(tmp_path: Path, text: str, words: str) -> None:
    assert complaint(tmp_path, text) == words


def test_what_is_no_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    assert "expected TOML, found an error" in complaint(tmp_path, "[grpc")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match=r"absent\.toml: expected a configuration file"):
        read_settings(tmp_path / "absent.toml", environment={})


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("PODIUM_GRPC_LISTN", "x", "found PODIUM_GRPC_LISTN"),
        ("PODIUM_HTTP_TASKS_MAX", "many", 'expected a whole number, found "many"'),
        ("PODIUM_HTTP_RESOLVE", "a:1", 'expected NAME=VALUE, ..., found "a:1"'),
        ("PODIUM_HTTP_TASKS_MAX", "-1", "http.tasks_max: expected int >= 1, found -1"),
    ],
)
def test_variables_that_do_not_fit_are_refused(
    tmp_path: Path, variable: str, text: str, words: str
) -> None:
    assert words in complaint(tmp_path, "", **{variable: text})


@pytest.mark.parametrize("text", ["", ":1", "host:", "host", "::1:80", "host:x", "host:65536"])
def test_places_to_listen_that_are_none(text: str) -> None:
    with pytest.raises(SettingInvalid, match=r"grpc.listen: expected .*, found"):
        read_listen(text)


def test_an_address_of_six_is_written_in_brackets() -> None:
    assert read_listen("[::1]:80") == ("[::1]", 80)


def test_http_is_served_unless_its_place_is_empty(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "").gateway.listen == "127.0.0.1:8080"
    assert settings_of(tmp_path, "", PODIUM_GATEWAY_LISTEN="").gateway.listen == ""
    words = 'gateway.listen: expected HOST:PORT (IPv6 in brackets), found "8080"'
    assert complaint(tmp_path, '[gateway]\nlisten = "8080"\n') == words


def test_what_is_printed_gives_the_same_settings_again(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        '[http]\nallow = ["*.example"]\n[http.resolve]\n"a:1" = "127.0.0.1:2"\n',
    )
    path = tmp_path / "again.toml"
    path.write_text(to_toml(settings))
    assert msgspec.structs.asdict(read_settings(path, environment={})) == msgspec.structs.asdict(
        settings
    )


def test_s_524_values_come_from_the_environment_by_their_prefixes() -> None:
    given = {"CONDUCTOR_SECRET_A": "1", "CONDUCTOR_ENV_B": "2", "CONDUCTOR_SECRET_": "3", "C": "4"}
    assert read_values(Settings(), given) == ({"A": "1"}, {"B": "2"})
    assert repr(read_values(Settings(), given)) == "Values(1 secrets, 1 values)"
    off = Settings(secrets=Secrets(source="none"), environment=Environment(prefix="MY_"))
    assert read_values(off, {**given, "MY_X": "5"}) == ({}, {"X": "5"})


def test_values_that_are_no_text_are_refused_without_being_told() -> None:
    with pytest.raises(SettingInvalid) as found:
        read_values(Settings(), {"CONDUCTOR_SECRET_A": "k\udcff"})
    assert str(found.value) == (
        "environment: expected UTF-8 in 'CONDUCTOR_SECRET_A', found other bytes"
    )


def test_s_740_sources_and_prefixes_are_settings(tmp_path: Path) -> None:
    text = '[secrets]\nsource = "none"\n[environment]\nprefix = "MY_ENV_"\n'
    (tmp_path / "podium.toml").write_text(text)
    settings = read_settings(tmp_path / "podium.toml", environment={})
    assert (settings.secrets.source, settings.environment.prefix) == ("none", "MY_ENV_")
    assert complaint(tmp_path, '[secrets]\nprefix = ""\n').startswith(
        "/podium.toml: secrets.prefix"
    )
    assert complaint(tmp_path, '[secrets]\nprefix = "podium_x_"\n') == (
        "secrets.prefix: expected one that does not begin with PODIUM_, whose variables are"
        ' settings, found "podium_x_"'
    )


def test_a_secret_is_no_setting_and_is_not_printed() -> None:
    settings = read_settings(None, environment={"CONDUCTOR_SECRET_A": "clear"})
    assert "clear" not in to_toml(settings) + repr(settings)
