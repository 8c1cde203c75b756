"""Compiled definitions: where each task leads, said explicitly."""

from __future__ import annotations

import msgspec

from podium.engine.graph import NONE, branch_graph, compile_branch, compile_workflow
from podium.model.definition import encode
from tests.engine.shapes import flow, fork, join, op, simple, switch


def successors(*tasks: object) -> dict[str, str]:
    graph = compile_workflow(flow(*tasks))  # type: ignore[arg-type]
    refs = {node.index: node.ref for node in graph.nodes} | {NONE: "-"}
    return {node.ref: refs[node.next] for node in graph.nodes}


def test_s_039_where_each_task_leads() -> None:
    found = successors(
        simple("a"),
        switch("s", 1, {"x": [simple("x1"), simple("x2")], "y": []}, default_case=[simple("d")]),
        fork("f", [simple("b1"), switch("t", 1, {"z": [simple("z")]})], [simple("b2")]),
        join("j", "t", "b2"),
        op("TERMINATE", "end"),
    )
    assert found == {
        "a": "s", "s": "f", "x1": "x2", "x2": "f", "d": "f", "f": "-", "b1": "t", "t": "-",
        "z": "-", "b2": "-", "j": "end", "end": "-",
    }  # fmt: skip


def test_children_members_and_joins() -> None:
    graph = compile_workflow(
        flow(
            fork("f", [simple("a")], []),
            join("j", "a", "a", "b"),
            op("FORK_JOIN_DYNAMIC", "g"),
            join("k", "a"),
        )
    )
    nodes = {node.ref: node for node in graph.nodes}
    assert nodes["f"].branches == (nodes["a"].index, NONE)
    assert nodes["f"].join == nodes["j"].index
    assert nodes["g"].join == nodes["k"].index
    assert nodes["j"].members == ("a", "b")
    assert nodes["k"].members == ()  # S-369
    assert graph.joins_by_ref == {"a": (nodes["j"].index,), "b": (nodes["j"].index,)}
    assert graph.root == 0


def test_an_empty_definition_has_no_root() -> None:
    assert compile_workflow(flow()).root == NONE


def test_a_branch_is_compiled_once_for_its_bytes() -> None:
    definition = msgspec.json.encode(simple("x"))
    assert branch_graph(definition) is branch_graph(bytes(definition))
    assert compile_branch(simple("x")).nodes[0].ref == "x"
    assert encode(flow(simple("x")))
