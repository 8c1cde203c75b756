"""Event handlers as frozen records, in Conductor's JSON terms (S-571 ff.)."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from podium.model.definition import Parameters

ActionType: TypeAlias = Literal[
    "start_workflow",
    "complete_task",
    "fail_task",
    "terminate_workflow",
    "update_workflow_variables",
    "start_agent",
]


class Details(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of what is read from and written as Conductor's JSON."""


class StartWorkflowDetails(Details, frozen=True):
    """Which workflow to start; `version` None = the latest."""

    name: str = ""
    version: int | None = None
    correlation_id: str | None = None
    input: Parameters = {}
    task_to_domain: dict[str, str] = {}


class TaskDetails(Details, frozen=True):
    """Which task to end: by its own id, or by its reference in an execution."""

    workflow_id: str | None = None
    task_ref_name: str | None = None
    output: Parameters = {}
    task_id: str | None = None
    reason_for_incompletion: str | None = None


class TerminateDetails(Details, frozen=True):
    """Which execution to terminate."""

    workflow_id: str | None = None
    termination_reason: str | None = None


class VariablesDetails(Details, frozen=True):
    """Which variables of which execution to set."""

    workflow_id: str | None = None
    variables: Parameters = {}
    append_array: bool = False


class AgentDetails(Details, frozen=True):
    """Which agent to start."""

    name: str = ""
    version: int | None = None
    prompt: str | None = None
    session_id: str | None = None
    media: list[str] = []
    context: Parameters = {}
    idempotency_key: str | None = None


class EventAction(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"expand_inline_json": "expandInlineJSON"},
):
    """One thing to do: the details under the name of its type are read, others are kept."""

    action: ActionType
    start_workflow: StartWorkflowDetails | None = None
    complete_task: TaskDetails | None = None
    fail_task: TaskDetails | None = None
    expand_inline_json: bool = False
    terminate_workflow: TerminateDetails | None = None
    update_workflow_variables: VariablesDetails | None = None
    start_agent: AgentDetails | None = None


class EventHandler(Details, frozen=True):
    """What to do at an event; `event` = "<provider>:<queue>" (S-572)."""

    name: str = ""
    event: str = ""
    condition: str | None = None
    actions: list[EventAction] = []
    active: bool = False
    evaluator_type: str | None = None


DECODER: Final = msgspec.json.Decoder(EventHandler)


def decode_handler(text: bytes) -> EventHandler:
    """Read Conductor's EventHandler JSON. Raises msgspec.DecodeError."""
    return DECODER.decode(text)
