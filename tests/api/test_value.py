"""Values on the wire: by hand and by protobuf they are the same, whatever the bytes."""

from __future__ import annotations

import json
import math
import struct

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import example, given
from hypothesis import strategies as st

from podium.api import value as value_module
from podium.api.value import DEPTH_MAX, ValueUnsound, bytes_of, value_of, values_of
from tests.api.calls import field, nested_lists

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


@given(JSON)
def test_json_survives_the_wire_and_protobuf_agrees(value: object) -> None:
    wire = bytes_of(value)  # pyright: ignore[reportArgumentType] - drawn as JSON
    message = struct_pb2.Value.FromString(wire)
    assert value_of("in", "a", wire) == value
    assert json_format.MessageToDict(message) == value
    assert value_module._by_protobuf("in.a", wire, 0) == value
    assert value_of("in", "a", message.SerializeToString(deterministic=True)) == value


@given(st.binary(max_size=60))
@example(field(5, field(1, field(2, b"\x08\x00") + field(1, b"k"))))
@example(field(5, field(1, field(1, b"k"))))
@example(b"\x08\x00\x20\x01")
@example(b"\x20\x02")
@example(field(3, b"a") + field(3, b"b"))
def test_bytes_of_any_kind_mean_what_protobuf_says(wire: bytes) -> None:
    try:
        found = value_of("in", "a", wire)
    except ValueUnsound:
        found = "refused"
    try:
        message = struct_pb2.Value.FromString(wire)
        expected = value_module._by_protobuf("in.a", message.SerializeToString(), 0)
    except (ValueUnsound, value_module.DecodeError):
        expected = "refused"
    assert json.dumps(found) == json.dumps(expected)


def test_whole_numbers_within_2_53_are_ints_and_others_stay_floats() -> None:
    numbers = {1.0: 1, -0.0: 0, 2.0**53: 2**53, 1.5: 1.5, 1e300: 1e300}
    for number, expected in numbers.items():
        found = value_of("in", "a", b"\x11" + struct.pack("<d", number))
        assert found == expected
        assert type(found) is type(expected)
    assert type(value_of("in", "a", bytes_of(2**60))) is float


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("inside", [False, True])
def test_numbers_that_json_does_not_have_are_refused(number: float, *, inside: bool) -> None:
    wire = b"\x11" + struct.pack("<d", number)
    with pytest.raises(ValueUnsound, match=r"input\.a: expected finite numbers, found"):
        values_of("input", {"a": field(6, field(1, wire)) if inside else wire})


def test_levels_are_counted_with_the_payload_itself() -> None:
    values_of("input", {"a": nested_lists(DEPTH_MAX - 1)})
    for levels in (DEPTH_MAX, 100, 20_000):
        with pytest.raises(ValueUnsound, match=r"input\.a: expected at most 30 levels"):
            values_of("input", {"a": nested_lists(levels)})
