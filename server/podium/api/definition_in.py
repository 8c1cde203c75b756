"""Definitions out of Conductor's messages (twins).

Protobuf scalars have no presence: an empty string is absent everywhere, and a number is "not set"
where the table of definition.proto says so (S-682 to S-686 name what Conductor does instead). Only
the form is judged here: enums, numbers, depth of values. What a sound definition is, the engine
knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from podium.api.value import ValueUnsound, value_of, values_of
from podium.conductor import definition_pb2 as pb
from podium.model.definition import (
    JoinMode,
    RetryLogic,
    SubWorkflowParams,
    TaskDef,
    TimeoutPolicy,
    WorkflowDef,
    WorkflowTask,
    WorkflowTimeoutPolicy,
    without_nulls,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from podium.conductor.twin import definition_pb2 as twin
    from podium.model.payload import JsonValue

Choice = TypeVar("Choice")

SIMPLE: Final = "SIMPLE"
FIRST_VERSION: Final = 1
SCHEMA_VERSION: Final = 2
RESPONSE_TIMEOUT_S: Final = 3600
TASK_TIMEOUTS: Final[Mapping[int, TimeoutPolicy]] = {
    pb.TaskDef.RETRY: "RETRY",
    pb.TaskDef.TIME_OUT_WF: "TIME_OUT_WF",
    pb.TaskDef.ALERT_ONLY: "ALERT_ONLY",
}
RETRY_LOGICS: Final[Mapping[int, RetryLogic]] = {
    pb.TaskDef.FIXED: "FIXED",
    pb.TaskDef.EXPONENTIAL_BACKOFF: "EXPONENTIAL_BACKOFF",
    pb.TaskDef.LINEAR_BACKOFF: "LINEAR_BACKOFF",
}
WORKFLOW_TIMEOUTS: Final[Mapping[int, WorkflowTimeoutPolicy]] = {
    pb.WorkflowDef.TIME_OUT_WF: "TIME_OUT_WF",
    pb.WorkflowDef.ALERT_ONLY: "ALERT_ONLY",
}
JOIN_MODES: Final[Mapping[int, JoinMode | None]] = {
    pb.WorkflowTask.SYNC: None,
    pb.WorkflowTask.ASYNC: "ASYNC",
}
LIMIT_POLICIES: Final[Mapping[int, str]] = {
    pb.RateLimitConfig.QUEUE: "QUEUE",
    pb.RateLimitConfig.REJECT: "REJECT",
}
SCHEMA_TYPES: Final[Mapping[int, str]] = {
    pb.SchemaDef.JSON: "JSON",
    pb.SchemaDef.AVRO: "AVRO",
    pb.SchemaDef.PROTOBUF: "PROTOBUF",
}


def task_def_of(place: str, message: twin.TaskDef) -> TaskDef:
    """Raises ValueUnsound."""
    return TaskDef(
        name=message.name,
        description=message.description,
        retry_count=message.retry_count,
        timeout_seconds=message.timeout_seconds,
        input_keys=list(message.input_keys),
        output_keys=list(message.output_keys),
        timeout_policy=_choice(f"{place}.timeout_policy", message.timeout_policy, TASK_TIMEOUTS),
        retry_logic=_choice(f"{place}.retry_logic", message.retry_logic, RETRY_LOGICS),
        retry_delay_seconds=message.retry_delay_seconds,
        response_timeout_seconds=_response_timeout_s(message),
        concurrent_exec_limit=message.concurrent_exec_limit or None,
        input_template=values_of(f"{place}.input_template", message.input_template),
        rate_limit_per_frequency=message.rate_limit_per_frequency or None,
        rate_limit_frequency_in_seconds=message.rate_limit_frequency_in_seconds or None,
        isolation_group_id=message.isolation_group_id or None,
        execution_name_space=message.execution_name_space or None,
        owner_email=message.owner_email or None,
        poll_timeout_seconds=message.poll_timeout_seconds or None,
        backoff_scale_factor=message.backoff_scale_factor or 1,
        max_retry_delay_seconds=message.max_retry_delay_seconds,
        backoff_jitter_ms=message.backoff_jitter_ms,
        base_type=message.base_type or None,
        total_timeout_seconds=message.total_timeout_seconds,
        task_status_listener_enabled=message.task_status_listener_enabled,
    )


def workflow_def_of(place: str, message: twin.WorkflowDef) -> WorkflowDef:
    """Raises ValueUnsound."""
    return WorkflowDef(
        name=message.name,
        version=message.version or FIRST_VERSION,
        description=message.description or None,
        tasks=_tasks_of(f"{place}.tasks", message.tasks),
        input_parameters=list(message.input_parameters),
        output_parameters=values_of(f"{place}.output_parameters", message.output_parameters),
        failure_workflow=message.failure_workflow or None,
        failure_workflow_version=message.failure_workflow_version or None,
        schema_version=message.schema_version or SCHEMA_VERSION,
        restartable=message.restartable,
        workflow_status_listener_enabled=message.workflow_status_listener_enabled,
        workflow_status_listener_sink=message.workflow_status_listener_sink or None,
        owner_email=message.owner_email or None,
        timeout_policy=_choice(
            f"{place}.timeout_policy", message.timeout_policy, WORKFLOW_TIMEOUTS
        ),
        timeout_seconds=message.timeout_seconds,
        variables=values_of(f"{place}.variables", message.variables),
        input_template=values_of(f"{place}.input_template", message.input_template),
        rate_limit_config=_rate_limit_of(place, message),
        input_schema=_schema_of(f"{place}.input_schema", message, message.input_schema),
        output_schema=_schema_of(f"{place}.output_schema", message, message.output_schema),
        enforce_schema=message.enforce_schema,
        metadata=values_of(f"{place}.metadata", message.metadata),
        cache_config=_cache_of(message),
        masked_fields=list(message.masked_fields),
    )


def _tasks_of(place: str, messages: Iterable[twin.WorkflowTask]) -> list[WorkflowTask]:
    """The parser's limit of 100 nested messages bounds the recursion."""
    return [_task_of(f"{place}[{index}]", message) for index, message in enumerate(messages)]


def _task_of(place: str, message: twin.WorkflowTask) -> WorkflowTask:
    cases = {
        name: _tasks_of(f"{place}.decision_cases[{name[:80]}]", inner.tasks)
        for name, inner in message.decision_cases.items()
    }
    embedded = message.HasField("task_definition")
    return WorkflowTask(
        name=message.name,
        task_reference_name=message.task_reference_name,
        description=message.description or None,
        input_parameters=values_of(f"{place}.input_parameters", message.input_parameters),
        type=message.type or SIMPLE,
        dynamic_task_name_param=message.dynamic_task_name_param or None,
        case_value_param=message.case_value_param or None,
        case_expression=message.case_expression or None,
        script_expression=message.script_expression or None,
        decision_cases=cases,
        dynamic_fork_tasks_param=message.dynamic_fork_tasks_param or None,
        dynamic_fork_tasks_input_param_name=message.dynamic_fork_tasks_input_param_name or None,
        default_case=_tasks_of(f"{place}.default_case", message.default_case),
        fork_tasks=[
            _tasks_of(f"{place}.fork_tasks[{index}]", inner.tasks)
            for index, inner in enumerate(message.fork_tasks)
        ],
        start_delay=message.start_delay,
        sub_workflow_param=_params_of(place, message),
        join_on=list(message.join_on),
        join_mode=_choice(f"{place}.join_mode", message.join_mode, JOIN_MODES),
        sink=message.sink or None,
        optional=message.optional,
        permissive=message.permissive,
        task_definition=task_def_of(f"{place}.task_definition", message.task_definition)
        if embedded
        else None,
        rate_limited=message.rate_limited or None,
        default_exclusive_join_task=list(message.default_exclusive_join_task),
        async_complete=message.async_complete,
        loop_condition=message.loop_condition or None,
        loop_over=_tasks_of(f"{place}.loop_over", message.loop_over),
        items=message.items or None,
        retry_count=None if message.retry_count in (0, -1) else message.retry_count,
        evaluator_type=message.evaluator_type or None,
        expression=message.expression or None,
        join_status=message.join_status or None,
        cache_config=_cache_of(message),
        metadata=values_of(f"{place}.metadata", message.metadata),
    )


def _params_of(place: str, message: twin.WorkflowTask) -> SubWorkflowParams | None:
    if not message.HasField("sub_workflow_param"):
        return None
    params = message.sub_workflow_param
    inline: JsonValue = None
    if params.HasField("workflow_definition"):
        where = f"{place}.sub_workflow_param"
        inline = without_nulls(value_of(where, "workflow_definition", params.workflow_definition))
    return SubWorkflowParams(
        name=params.name or None,
        version=params.version or None,
        task_to_domain=dict(params.task_to_domain) or None,
        workflow_definition=inline,
    )


def _response_timeout_s(message: twin.TaskDef) -> int:
    """Not set = 3600, or the timeout where that is shorter: the two must not contradict (S-018)."""
    if message.response_timeout_seconds:
        return message.response_timeout_seconds
    timeout_s = message.timeout_seconds
    return min(RESPONSE_TIMEOUT_S, timeout_s) if timeout_s > 0 else RESPONSE_TIMEOUT_S


def _rate_limit_of(place: str, message: twin.WorkflowDef) -> JsonValue:
    if not message.HasField("rate_limit_config"):
        return None
    config = message.rate_limit_config
    policy = _choice(f"{place}.rate_limit_config.policy", config.policy, LIMIT_POLICIES)
    return {
        "rateLimitKey": config.rate_limit_key,
        "concurrentExecLimit": config.concurrent_exec_limit,
        "policy": policy,
    }


def _schema_of(place: str, message: twin.WorkflowDef, schema: pb.SchemaDef) -> JsonValue:
    if not message.HasField("input_schema" if place.endswith("input_schema") else "output_schema"):
        return None
    kind = _choice(f"{place}.type", schema.type, SCHEMA_TYPES)
    return {"name": schema.name, "version": schema.version, "type": kind}


def _cache_of(message: twin.WorkflowDef | twin.WorkflowTask) -> JsonValue:
    if not message.HasField("cache_config"):
        return None
    config = message.cache_config
    return {"key": config.key, "ttlInSecond": config.ttl_in_second}


def _choice(place: str, number: int, choices: Mapping[int, Choice]) -> Choice:
    if number not in choices:
        raise ValueUnsound(
            f"{place}: expected one of {', '.join(str(each) for each in choices)}, found {number}"
        )
    return choices[number]
