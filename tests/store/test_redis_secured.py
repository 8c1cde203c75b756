"""Redis over TLS with an ACL user: what opens, and what is refused at the start and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from podium.store.port import StoreUnavailable
from podium.store.redis import scripts
from podium.store.redis.durability import Durability
from podium.store.redis.rights import NAMES
from tests.cli.serving import refused as refused_by_serve
from tests.store.nodes import Node, one_node
from tests.store.opening import closed, opens, refused
from tests.store.secured import USER, Secured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.part("redis-server")

SOURCES = Path(scripts.__file__).parent


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with Secured(tmp_path_factory.mktemp("secured")) as node:
        yield node


@pytest.fixture(autouse=True)
async def settle() -> AsyncIterator[None]:
    yield
    await closed()


async def test_an_unknown_authority_is_refused(secured: Secured, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    for url in (secured.url_of(), f"{secured.url_of()}?tls_ca={tmp_path}/other.pem"):
        words = await refused(url)
        assert words.startswith(f"rediss://127.0.0.1:{secured.port}: expected a certificate")
        assert "self-signed certificate in certificate chain" in words
        assert "?tls_ca=FILE" in words


async def test_a_certificate_of_another_host_is_refused(secured: Secured) -> None:
    words = await refused(secured.url.replace("@127.0.0.1", "@localhost"))
    assert "expected a certificate for that host" in words
    assert "localhost" in words


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("tls_ca=none.pem", "tls_ca: expected a file of certificates (PEM), found '{}/none.pem'"),
        ("tls_ca=words.pem", "words.pem': no certificate or crl found"),
        ("tls_cert=client.pem&tls_key=none.pem", "No such file or directory"),
        ("tls_cert=client.pem&tls_key=ca.pem", "tls_cert, tls_key: expected a certificate and its"),
        ("tls_cert=ca.pem&tls_key=client.pem", "key values mismatch"),
    ],
)
async def test_files_that_hold_no_certificate_are_refused(
    secured: Secured, parameters: str, words: str
) -> None:
    folder = secured.folder
    (folder / "words.pem").write_text("no certificate")
    given = re.sub(r"=(\w+\.pem)", rf"={folder}/\1", parameters)
    assert words.format(folder) in await refused(f"{secured.url_of()}?{given}")


async def test_a_wrong_password_is_refused_without_being_told(secured: Secured) -> None:
    words = await refused(secured.url.replace(secured.url_of(), secured.url_of("wrong-one")))
    assert "expected a user and password that it takes" in words
    assert "wrong-one" not in words


async def test_a_missing_password_is_refused(tmp_path: Path) -> None:
    with one_node(tmp_path, "--requirepass", "correct") as node:
        assert "expected a user and password that it takes" in await refused(node.url)


async def test_plain_words_to_tls_and_tls_to_a_plain_node_are_refused(
    secured: Secured, tmp_path: Path
) -> None:
    words = await refused(f"redis://127.0.0.1:{secured.port}")
    assert "if it wants TLS, say rediss://" in words
    with one_node(tmp_path) as node:
        words = await refused(node.url.replace("redis:", "rediss:"))
    assert "if it does not speak TLS, say redis://" in words


async def test_a_node_that_wants_certificates_of_its_clients(tmp_path: Path) -> None:
    with Secured(tmp_path, clients=True) as node:
        assert "name one with tls_cert and tls_key" in await refused(node.url)
        await opens(f"{node.url}&tls_cert={tmp_path}/client.pem&tls_key={tmp_path}/client.pem")
        await opens(f"{node.url}&tls_cert={tmp_path}/client.pem")


@pytest.mark.parametrize("name", sorted(NAMES - {"PING"}))
async def test_a_right_that_lacks_is_told(secured: Secured, name: str) -> None:
    right = f"+{name.lower()}"
    secured.grant(f"-{name.lower()}")
    try:
        words = await refused(secured.url)
    finally:
        secured.grant(right)
    assert f"found that {right} lacks" in words
    assert words.endswith(f"grant it with ACL SETUSER {USER} {right}")


async def test_rights_of_one_durability_are_asked_for_with_it(secured: Secured) -> None:
    words = await refused(secured.url, Durability("replica"))
    assert words.endswith(f"grant it with ACL SETUSER {USER} +wait")
    words = await refused(secured.url, Durability("fsync"))
    assert "expected appendfsync always, found that CONFIG GET is refused" in words
    secured.grant("+config|get")
    try:
        words = await refused(secured.url, Durability("fsync"))
    finally:
        secured.grant("-config|get")
    assert "expected appendfsync always, found everysec" in words


async def test_a_user_that_may_not_even_ping_is_refused(secured: Secured) -> None:
    secured.grant("-ping")
    try:
        words = await refused(secured.url)
    finally:
        secured.grant("+ping")
    assert "expected a user that may PING" in words
    assert f"ACL SETUSER {USER} +ping" in words


async def test_keys_and_channels_of_another_prefix_are_refused(secured: Secured) -> None:
    words = await refused(f"{secured.url}&prefix=orders:")
    assert words.endswith(f"ACL SETUSER {USER} &orders:* ~orders:*")


async def test_what_is_granted_as_told_is_enough(secured: Secured) -> None:
    """From nothing but PING, with the one line of the refusal."""
    secured.grant("-@all", "+ping", "+info", "resetkeys", "resetchannels")
    while True:
        try:
            await opens(secured.url)
            break
        except StoreUnavailable as refusal:
            secured.grant(*str(refusal).rpartition(f"SETUSER {USER} ")[2].split())


async def test_the_trial_leaves_nothing_behind(tmp_path: Path) -> None:
    with Node(tmp_path, "--appendonly", "yes", "--save", "") as node:
        await opens(node.url)
        assert not node.ask("KEYS", "*try:*")


async def test_serve_says_it_in_one_line(secured: Secured, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    secured.grant("-zadd")
    try:
        for url, words in (
            (f"{secured.url_of()}?tls_ca={tmp_path}/other.pem", "expected a certificate"),
            (secured.url.replace(secured.url_of(), secured.url_of("no")), "expected a user"),
            (secured.url, f"grant it with ACL SETUSER {USER} +zadd"),
        ):
            code, said = await refused_by_serve(
                *("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", url)
            )
            assert code == 2
            assert said.startswith("podium: store.url: rediss://127.0.0.1:")
            assert words in said
            assert said.count("\n") == 1
    finally:
        secured.grant("+zadd")


def test_every_command_of_the_store_is_tried() -> None:
    """Another one would be refused in the middle of its verb."""
    used = {
        name
        for path in SOURCES.rglob("*.lua")
        for name in re.findall(r"redis\.p?call\(\s*['\"](\w+)['\"]", path.read_text())
    }
    for path in SOURCES.glob("*.py"):
        used |= set(re.findall(r"\(\(?\s*\"([A-Z]+)\"(?:,|\))", path.read_text()))
    assert used - NAMES - {"INFO", "WAIT"} == set()
    assert len(used) > 40
