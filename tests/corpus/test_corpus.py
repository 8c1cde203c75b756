"""Real definitions end to end: every one that can run, in three variants, over real gRPC.

The judge is what a real Conductor did (runs.json) where it was recorded, and the facts else; see
expectation.py. Which definitions cannot run yet, and why, is a list of its own (inventory.json).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from podium.conductor.request_pb2 import StartWorkflowRequest
from tests.corpus.definitions import (
    CHILD_OF_KITCHEN_SINKS,
    KITCHEN_SINKS,
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
from tests.corpus.serving import serving

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
    files = {each.definition for each in EXPECTATIONS.values()} | {CHILD_OF_KITCHEN_SINKS}
    with serving(tmp_path_factory.mktemp("corpus")) as address:
        client = Conductor(address)
        client.register([definition_of(read(file)) for file in sorted(files)])
        yield client
        client.close()


@each_case
def test_a_definition_runs_as_expected(
    conductor: Conductor, expected: Expectation, variant: Variant
) -> None:
    # given the definition as it stands in the corpus: two files may define one name
    document = read(expected.definition)
    if "workflowDef" not in document:
        conductor.overwrite([document])

    # when scripted workers take one task after the other
    found = Drive(conductor, Script(variant=variant)).run(start_request(document, expected.input))

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
    # given the run of this definition with this input, if there is one
    run = read(RUNS).get(expected.run_key(variant))
    if run is not None and run["input"] != expected.input:
        run = None
    assert (run is not None) == expected.recorded
    wanted = expected.variants[variant]
    if run is None:
        assert not wanted.better
        return

    # then it is the same, but for what is listed with a reason
    differs = {
        "status": wanted.status != run["status"],
        "tasks": sorted(wanted.tasks) != sorted(run["tasks"]),
        "output": without_nulls(wanted.output) != without_nulls(without_ids(run["output"])),
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
    sinks = dict.fromkeys(KITCHEN_SINKS, "runs")
    assert {**found, **sinks} == inventory
    runnable = {file for file, reason in inventory.items() if reason == "runs"}
    assert runnable == {each.definition for each in EXPECTATIONS.values()}
    assert len(runnable) >= RUNNABLE_LEAST + len(KITCHEN_SINKS)


def test_a_worker_that_answers_otherwise_is_noticed(conductor: Conductor) -> None:
    # given a definition whose output is its last worker's
    expected = EXPECTATIONS["simple_workflow_3_integration_test"]

    # when it is driven by another variant's script
    document = read(expected.definition)
    found = run(conductor, document, expected.input, "retry")

    # then it is not what the variant without a failure must come to
    assert found.tasks != expected.variants["ok"].tasks
    assert found.tasks == expected.variants["retry"].tasks


def run(
    conductor: Conductor, document: dict[str, Any], value: dict[str, Any], variant: Variant
) -> Ended:
    return Drive(conductor, Script(variant=variant)).run(start_request(document, value))


def start_request(document: dict[str, Any], value: dict[str, Any]) -> StartWorkflowRequest:
    """A start by name, or with the definition where the document is a start request itself."""
    definition = definition_of(document)
    request = StartWorkflowRequest(name=definition["name"], input=values(value))
    if "workflowDef" in document:
        request.workflow_def.CopyFrom(workflow_message(definition))
    else:
        request.version = definition["version"]
    return request
