"""Workflow and task definitions as frozen records, in Conductor's terms.

Field names are the snake_case of Conductor's JSON names; `msgspec` renames to camelCase, so
`decode_workflow(json)` reads Conductor's documents as they are (unknown fields are ignored, S-264).
Defaults are those of S-014 to S-016, S-024 and S-032.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from podium.model.payload import JsonValue

TimeoutPolicy = Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"]
WorkflowTimeoutPolicy = Literal["TIME_OUT_WF", "ALERT_ONLY"]
RetryLogic = Literal["FIXED", "EXPONENTIAL_BACKOFF", "LINEAR_BACKOFF"]
JoinMode = Literal["SYNC", "ASYNC"]

Parameters = dict[str, JsonValue]


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of everything that is read from and written as Conductor's JSON."""


class TaskDef(Record, frozen=True):
    """How one task type behaves: retries, timeouts, limits (S-014 to S-023). Units: seconds."""

    name: str
    description: str = ""
    retry_count: int = 3
    timeout_seconds: int = 0
    input_keys: list[str] = []
    output_keys: list[str] = []
    timeout_policy: TimeoutPolicy = "TIME_OUT_WF"
    retry_logic: RetryLogic = "FIXED"
    retry_delay_seconds: int = 60
    response_timeout_seconds: int = 3600
    concurrent_exec_limit: int | None = None
    input_template: Parameters = {}
    rate_limit_per_frequency: int | None = None
    rate_limit_frequency_in_seconds: int | None = None
    isolation_group_id: str | None = None
    execution_name_space: str | None = None
    owner_email: str | None = None
    poll_timeout_seconds: int | None = None
    backoff_scale_factor: int = 1
    max_retry_delay_seconds: int = 0
    backoff_jitter_ms: int = 0
    base_type: str | None = None
    total_timeout_seconds: int = 0
    task_status_listener_enabled: bool = True
    input_schema: JsonValue = None
    output_schema: JsonValue = None
    enforce_schema: bool = False
    runtime_metadata: list[str] = []
    create_time: int = 0
    update_time: int = 0
    created_by: str | None = None
    updated_by: str | None = None


class SubWorkflowParams(Record, frozen=True):
    """Which workflow a SUB_WORKFLOW starts (S-415). `workflow_definition` is an inline one."""

    name: str | None = None
    version: int | None = None
    task_to_domain: dict[str, str] | None = None
    workflow_definition: JsonValue = None
    priority: JsonValue = None
    idempotency_key: str | None = None
    idempotency_strategy: str | None = None


class WorkflowTask(Record, frozen=True):
    """One element of a definition's task tree (S-032)."""

    name: str = ""
    task_reference_name: str = ""
    description: str | None = None
    input_parameters: Parameters = {}
    type: str = "SIMPLE"
    dynamic_task_name_param: str | None = None
    case_value_param: str | None = None
    case_expression: str | None = None
    script_expression: str | None = None
    decision_cases: dict[str, list[WorkflowTask]] = {}
    dynamic_fork_join_tasks_param: str | None = None
    dynamic_fork_tasks_param: str | None = None
    dynamic_fork_tasks_input_param_name: str | None = None
    default_case: list[WorkflowTask] = []
    fork_tasks: list[list[WorkflowTask]] = []
    start_delay: int = 0
    sub_workflow_param: SubWorkflowParams | None = None
    join_on: list[str] = []
    join_mode: JoinMode | None = None
    sink: str | None = None
    optional: bool = False
    permissive: bool = False
    task_definition: TaskDef | None = None
    rate_limited: bool | None = None
    default_exclusive_join_task: list[str] = []
    async_complete: bool = False
    loop_condition: str | None = None
    loop_over: list[WorkflowTask] = []
    items: str | None = None
    retry_count: int | None = None
    evaluator_type: str | None = None
    expression: str | None = None
    join_status: str | None = None
    cache_config: JsonValue = None
    on_state_change: JsonValue = None
    metadata: Parameters = {}


class WorkflowDef(Record, frozen=True):
    """A workflow definition (S-024). `timeout_seconds` 0 = none."""

    name: str
    version: int = 1
    description: str | None = None
    tasks: list[WorkflowTask] = []
    input_parameters: list[str] = []
    output_parameters: Parameters = {}
    failure_workflow: str | None = None
    failure_workflow_version: int | None = None
    schema_version: int = 2
    restartable: bool = True
    workflow_status_listener_enabled: bool = False
    workflow_status_listener_sink: str | None = None
    owner_email: str | None = None
    timeout_policy: WorkflowTimeoutPolicy = "ALERT_ONLY"
    timeout_seconds: int = 0
    variables: Parameters = {}
    input_template: Parameters = {}
    rate_limit_config: JsonValue = None
    input_schema: JsonValue = None
    output_schema: JsonValue = None
    enforce_schema: bool = True
    metadata: Parameters = {}
    cache_config: JsonValue = None
    masked_fields: list[str] = []
    owner_app: str | None = None
    create_time: int = 0
    update_time: int = 0
    created_by: str | None = None
    updated_by: str | None = None


ENCODER: Final = msgspec.json.Encoder(order="deterministic")
OPAQUE: Final = frozenset(
    {
        "inputParameters",
        "outputParameters",
        "inputTemplate",
        "variables",
        "metadata",
        "onStateChange",
        "inputSchema",
        "outputSchema",
    }
)
"""Fields whose values are the user's own: a null in them is a value."""


def decode_workflow(text: bytes | str) -> WorkflowDef:
    """Read Conductor's WorkflowDef JSON. Raises msgspec.DecodeError (of a value: its place)."""
    return read_workflow(_parsed(text))


def decode_task(text: bytes | str) -> TaskDef:
    """Read Conductor's TaskDef JSON. Raises msgspec.DecodeError (of a value: its place)."""
    return msgspec.convert(without_nulls(_parsed(text)), TaskDef)


def read_workflow(document: JsonValue) -> WorkflowDef:
    """A WorkflowDef from decoded JSON. Raises msgspec.ValidationError naming the place."""
    return msgspec.convert(without_nulls(document), WorkflowDef)


def without_nulls(document: JsonValue) -> JsonValue:
    """A definition's JSON without null fields, which mean "absent" (S-264); also inside inline
    sub-workflows. Parameters keep theirs. The document itself is not changed. Iterative.
    """
    top: list[JsonValue] = [document]
    waiting: list[tuple[list[JsonValue] | dict[str, JsonValue], bool]] = [(top, True)]
    while waiting:
        outer, fields = waiting.pop()
        items = enumerate(outer) if isinstance(outer, list) else outer.items()
        for key, value in list(items):
            if not isinstance(value, dict | list) or (fields and key in OPAQUE):
                continue
            copy = _kept(value)
            outer[key] = copy  # pyright: ignore[reportArgumentType, reportCallIssue] - its own key
            # Names of cases are the user's: a case may be called as a field is.
            waiting.append((copy, key != "decisionCases"))
    return top[0]


def _kept(value: list[JsonValue] | dict[str, JsonValue]) -> list[JsonValue] | dict[str, JsonValue]:
    if isinstance(value, list):
        return [each for each in value if each is not None]
    return {key: each for key, each in value.items() if each is not None}


def _parsed(text: bytes | str) -> JsonValue:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise msgspec.DecodeError("expected JSON of fewer levels, found too many") from None


def encode(definition: WorkflowDef | TaskDef) -> bytes:
    """Conductor's JSON with keys in a fixed order, so equal definitions are equal bytes."""
    return ENCODER.encode(definition)
