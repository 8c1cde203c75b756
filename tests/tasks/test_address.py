"""The address guard as a table: what is global, what an operator names, what cannot be read."""

import pytest

from podium.tasks.address import AddressGuard, AddressSettingInvalid

CLOSED = AddressGuard.of((), {})

INNER = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1",
    "2001:0:7f00:1::1", "2001:0:808:808:0:0:80ff:fffe", "2001:db8::1", "2002:7f00:1::1",
    "2002:a9fe:a9fe::", "2002:c058:6301::1", "3fff::1", "4000::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip
GLOBAL = [
    "1.1.1.1", "8.8.8.8", "192.0.1.1", "192.88.98.1", "223.255.255.255", "::ffff:8.8.8.8",
    "64:ff9b::808:808", "2002:808:808::1", "2606:4700:4700::1111", "2a00:1450::1",
]  # fmt: skip
UNREADABLE = [
    "", "localhost", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "\uff1127.0.0.1",
    "127.0.0.1 ", "fe80::1%eth0", "::1%lo", "[::1]",
]  # fmt: skip


@pytest.mark.parametrize("address", INNER)
def test_what_is_not_global_is_refused(address: str) -> None:
    refusal = CLOSED.refusal("api.example", address, 443)
    assert refusal is not None
    assert refusal.startswith("expected a globally routable address or one named in http.allow")
    assert "api.example:443" in refusal


@pytest.mark.parametrize("address", GLOBAL)
def test_what_is_global_passes(address: str) -> None:
    assert CLOSED.refusal("api.example", address, 443) is None


@pytest.mark.parametrize("address", UNREADABLE)
def test_what_cannot_be_read_is_refused_even_where_all_is_allowed(address: str) -> None:
    everything = AddressGuard.of(("0.0.0.0/0", "::/0"), {})
    refusal = everything.refusal("api.example", address, 443)
    assert refusal == "expected an IP address, found another spelling for api.example:443"


def test_the_refusal_keeps_the_address_behind_a_name() -> None:
    assert "10.1.2.3" not in (CLOSED.refusal("inner.example", "10.1.2.3", 80) or "")


@pytest.mark.parametrize(
    ("entry", "host", "address", "port", "passes"),
    [
        ("10.0.0.0/8", "x.example", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "x.example", "::ffff:10.1.2.3", 80, True),
        ("10.0.0.0/8", "x.example", "64:ff9b::10.1.2.3", 80, False),
        ("10.0.0.0/8", "x.example", "11.1.2.3", 80, True),  # global anyway
        ("10.0.0.0/8", "x.example", "172.16.0.1", 80, False),
        ("10.0.0.0/8:443", "x.example", "10.1.2.3", 443, True),
        ("10.0.0.0/8:443", "x.example", "10.1.2.3", 80, False),
        ("127.0.0.1:9200", "127.0.0.1", "127.0.0.1", 9200, True),
        ("127.0.0.1:9200", "localhost", "127.0.0.1", 9200, True),
        ("127.0.0.1:9200", "127.0.0.1", "127.0.0.1", 9201, False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.2", 80, False),
        ("::1", "localhost", "::1", 80, True),
        ("[::1]:80", "localhost", "::1", 81, False),
        ("[fd00::/8]:443", "x.example", "fd12::1", 443, True),
        ("fd00::/8", "x.example", "fd12::1", 1, True),
        ("internal.example:8080", "internal.example", "10.0.0.1", 8080, True),
        ("internal.example:8080", "INTERNAL.Example.", "10.0.0.1", 8080, True),
        ("Internal.Example.", "internal.example", "10.0.0.1", 1, True),
        ("internal.example:8080", "internal.example", "10.0.0.1", 80, False),
        ("internal.example", "xinternal.example", "10.0.0.1", 80, False),
        ("internal.example", "x.internal.example", "10.0.0.1", 80, False),
        ("*.svc.cluster.local", "a.b.svc.cluster.local", "10.0.0.1", 80, True),
        ("*.svc.cluster.local", "svc.cluster.local", "10.0.0.1", 80, False),
        ("*.svc.cluster.local", "evilsvc.cluster.local", "10.0.0.1", 80, False),
        ("*.svc.cluster.local", ".svc.cluster.local", "10.0.0.1", 80, False),
        ("localhost", "localhost", "127.0.0.1", 80, True),
        # A name never opens the way to what no honest name stands for.
        ("internal.example", "internal.example", "169.254.169.254", 80, False),
        ("internal.example", "internal.example", "64:ff9b::a9fe:a9fe", 80, False),
        ("internal.example", "internal.example", "0.0.0.0", 80, False),
        ("169.254.169.254", "internal.example", "169.254.169.254", 80, True),
    ],
)
def test_an_operator_allows_places(
    entry: str, host: str, address: str, port: int, *, passes: bool
) -> None:
    guard = AddressGuard.of((entry,), {})
    assert (guard.refusal(host, address, port) is None) == passes


def test_a_pin_is_permission_for_its_target_alone() -> None:
    guard = AddressGuard.of((), {"Localhost:9200": "127.0.0.1:41234", "six:80": "[::1]:1"})
    assert guard.target("localhost.", 9200) == ("127.0.0.1", 41234)
    assert guard.target("six", 80) == ("::1", 1)
    assert guard.target("localhost", 9201) is None
    assert guard.refusal("localhost", "127.0.0.1", 41234) is None
    assert guard.refusal("localhost", "127.0.0.1", 9200) is not None
    assert guard.refusal("localhost", "127.0.0.2", 41234) is not None
    assert guard.refusal("other", "127.0.0.1", 41234) is not None


@pytest.mark.parametrize(
    "entry",
    [
        "", "*", "*.", "*.*.example", "a b", "10.0.0.1/8", "10.0.0.0/33", "300.0.0.1", "127.1",
        "0x7f.1", "host:", "host:0", "host:65536", "host:http", "host:\uff180", "[::1", "[::1]x",
        "[::1]:", "::ffff:10.0.0.0/104", "http://host", "host/path", "bücher.example", "-a.example",
    ],
)  # fmt: skip
def test_an_entry_of_allow_that_cannot_be_read_is_named(entry: str) -> None:
    with pytest.raises(AddressSettingInvalid) as caught:
        AddressGuard.of(("10.0.0.0/8", entry), {})
    assert caught.value.setting == "http.allow"
    assert caught.value.entry == entry
    assert str(caught.value).startswith("http.allow: expected ")
    assert str(caught.value).endswith(f', found "{entry}"')


@pytest.mark.parametrize(
    ("asked", "target", "named"),
    [
        ("localhost", "127.0.0.1:1", "localhost"),
        ("127.0.0.1:80", "127.0.0.1:1", "127.0.0.1:80"),
        ("*.example:80", "127.0.0.1:1", "*.example:80"),
        ("localhost:80", "127.0.0.1", "127.0.0.1"),
        ("localhost:80", "localhost:1", "localhost:1"),
        ("localhost:80", "::1:1", "::1:1"),
        ("localhost:80", "127.0.0.1:x", "127.0.0.1:x"),
    ],
)
def test_an_entry_of_resolve_that_cannot_be_read_is_named(
    asked: str, target: str, named: str
) -> None:
    with pytest.raises(AddressSettingInvalid) as caught:
        AddressGuard.of((), {asked: target})
    assert (caught.value.setting, caught.value.entry) == ("http.resolve", named)
