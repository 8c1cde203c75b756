"""Real definitions end to end: every one that can run, in three variants, over real gRPC.

The judge is what a real Conductor did (runs.json) where it was recorded, and the facts else; see
expectation.py. Which definitions cannot run yet, and why, is a list of its own (inventory.json).
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from podium.conductor.request_pb2 import StartWorkflowRequest
from tests.corpus.definitions import (
    CHILD_OF_KITCHEN_SINKS,
    KITCHEN_SINKS,
    OLD_KITCHEN_SINK,
    corpus_files,
    definition_of,
    obstacles,
    read,
    workflow_message,
)
from tests.corpus.driver import VARIANTS, Conductor, Drive, Ended, Script, Variant, values
from tests.corpus.expectation import (
    INVENTORY,
    RUNS,
    Expectation,
    known_facts,
    load_all,
    without_ids,
    without_nulls,
)
from tests.corpus.search_stub import search_stub
from tests.corpus.serving import closed_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNABLE_LEAST = 27
EXPECTATIONS = {each.name: each for each in load_all()}
CASES = [
    pytest.param(expected, variant, id=f"{name}-{variant}")
    for name, expected in EXPECTATIONS.items()
    for variant in VARIANTS
]
each_case = pytest.mark.parametrize(("expected", "variant"), CASES)


@pytest.fixture(scope="module")
def conductor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conductor]:
    """A client of a server that knows every definition the expectations speak of."""
    with serving(tmp_path_factory.mktemp("corpus"), closed_port()) as address:
        yield from knowing_all(address)


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conductor]:
    """As `conductor`, of a server whose HTTP tasks find a search engine."""
    with serving(tmp_path_factory.mktemp("searching"), search_stub()) as address:
        yield from knowing_all(address)


def knowing_all(address: str) -> Iterator[Conductor]:
    documents = {each.definition: each.document() for each in EXPECTATIONS.values()}
    documents[CHILD_OF_KITCHEN_SINKS] = read(CHILD_OF_KITCHEN_SINKS)
    client = Conductor(address)
    client.register([definition_of(document) for _, document in sorted(documents.items())])
    yield client
    client.close()


@each_case
def test_a_definition_runs_as_expected(
    conductor: Conductor, searching: Conductor, expected: Expectation, variant: Variant
) -> None:
    # given the definition as it stands in the corpus: two files may define one name
    client = searching if expected.search else conductor
    if "workflowDef" not in expected.document():
        client.overwrite([expected.document()])

    # when scripted workers take one task after the other
    found = run(client, expected, variant)

    # then it comes to what is expected, each task in its place
    wanted = expected.variants[variant]
    shown = f"{expected.name} {variant}: {found.reason}"
    assert found.tasks == wanted.tasks, shown
    assert found.status == wanted.status, shown
    assert without_ids(found.output) == wanted.output, shown


@each_case
def test_an_expectation_is_the_recorded_run_or_better(
    expected: Expectation, variant: Variant
) -> None:
    # given the run of this definition with this input and these answers, if there is one
    recorded = read(RUNS).get(expected.run_key(variant))
    if expected.search or expected.answers or (recorded or {}).get("input") != expected.input:
        recorded = None
    assert (recorded is not None) == expected.recorded
    wanted = expected.variants[variant]
    if recorded is None:
        assert not wanted.better
        return

    # then it is the same, but for what is listed with a reason
    differs = {
        "status": wanted.status != recorded["status"],
        "tasks": sorted(wanted.tasks) != sorted(recorded["tasks"]),
        "output": without_nulls(wanted.output) != without_nulls(without_ids(recorded["output"])),
    }
    assert {key for key, different in differs.items() if different} == set(wanted.better)
    assert all(reason.startswith("S-") for reason in wanted.better.values())


def test_every_expectation_names_facts_that_exist() -> None:
    facts = known_facts()
    for expected in EXPECTATIONS.values():
        assert expected.facts, expected.name
        assert set(expected.facts) <= facts, expected.name


def test_every_definition_that_can_run_is_run_and_the_others_have_a_reason() -> None:
    # given all documents of the corpus
    known = {file: read(file) for file in corpus_files()}
    inventory: dict[str, str] = json.loads(INVENTORY.read_bytes())

    # when their operators are looked at
    found = {file: "; ".join(obstacles(file, known)) or "runs" for file in known}

    # then the inventory says the same, and what runs has its expectation
    sinks = dict.fromkeys([*KITCHEN_SINKS, OLD_KITCHEN_SINK], "runs")
    assert {**found, **sinks} == inventory
    runnable = {file for file, reason in inventory.items() if reason == "runs"}
    assert runnable == {each.definition for each in EXPECTATIONS.values()}
    assert len(runnable.difference(sinks)) >= RUNNABLE_LEAST

    # and no recorded run of it is left out
    stems = {PurePosixPath(file).stem for file in runnable}
    runs = {key for key in read(RUNS) if key.partition("/")[0] in stems}
    judged = [each for each in EXPECTATIONS.values() if each.recorded]
    assert runs == {each.run_key(variant) for each in judged for variant in VARIANTS}


def test_a_worker_that_answers_otherwise_is_noticed(conductor: Conductor) -> None:
    # given a definition whose output is its last worker's
    expected = EXPECTATIONS["simple_workflow_3_integration_test"]

    # when it is driven by another variant's script
    found = run(conductor, expected, "retry")

    # then it is not what the variant without a failure must come to
    assert found.tasks != expected.variants["ok"].tasks
    assert found.tasks == expected.variants["retry"].tasks


def run(client: Conductor, expected: Expectation, variant: Variant) -> Ended:
    script = Script(variant=variant, answers=expected.answers)
    return Drive(client, script).run(start_request(expected.document(), expected.input))


def start_request(document: dict[str, Any], value: dict[str, Any]) -> StartWorkflowRequest:
    """A start by name, or with the definition where the document is a start request itself."""
    definition = definition_of(document)
    request = StartWorkflowRequest(name=definition["name"], input=values(value))
    if "workflowDef" in document:
        request.workflow_def.CopyFrom(workflow_message(definition))
    else:
        request.version = definition["version"]
    return request
