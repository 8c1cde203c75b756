"""Running a definition on a server and judging what it came to, whatever server that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from podium.conductor.request_pb2 import StartWorkflowRequest
from tests.corpus.definitions import (
    CHILD_OF_KITCHEN_SINKS,
    definition_of,
    read,
    workflow_message,
)
from tests.corpus.driver import VARIANTS, Conductor, Drive, Ended, Script, Variant, values
from tests.corpus.expectation import Expectation, load_all, without_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTATIONS = {each.name: each for each in load_all()}
CASES = [
    pytest.param(expected, variant, id=f"{name}-{variant}")
    for name, expected in EXPECTATIONS.items()
    for variant in VARIANTS
]
each_case = pytest.mark.parametrize(("expected", "variant"), CASES)


def knowing_all(address: str) -> Iterator[Conductor]:
    """A client of a server that knows every definition the expectations speak of."""
    client = Conductor(address)
    make_known(client)
    yield client
    client.close()


def make_known(client: Conductor) -> None:
    """Every definition the expectations speak of."""
    documents = {each.definition: each.document() for each in EXPECTATIONS.values()}
    documents[CHILD_OF_KITCHEN_SINKS] = read(CHILD_OF_KITCHEN_SINKS)
    client.register([definition_of(document) for _, document in sorted(documents.items())])


def comes_to_what_is_expected(client: Conductor, expected: Expectation, variant: Variant) -> None:
    # given the definition as it stands in the corpus: two files may define one name
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
