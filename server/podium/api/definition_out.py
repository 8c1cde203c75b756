"""Definitions into Conductor's messages (twins). What is absent stays unset, except a task's retry
count, whose absence Conductor's clients read from -1 (S-685).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from podium.api.value import bytes_of, bytes_of_values
from podium.conductor import definition_pb2 as pb
from podium.conductor.twin import definition_pb2 as twin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.model.definition import SubWorkflowParams, TaskDef, WorkflowDef, WorkflowTask
    from podium.model.payload import JsonValue

RETRY_COUNT_UNSET: Final = -1
SCHEMA_TYPES: Final = dict(pb.SchemaDef.Type.items())


def task_def_message(definition: TaskDef) -> twin.TaskDef:
    """A task definition."""
    return twin.TaskDef(
        name=definition.name,
        description=definition.description,
        retry_count=_int32(definition.retry_count),
        timeout_seconds=_int64(definition.timeout_seconds),
        input_keys=definition.input_keys,
        output_keys=definition.output_keys,
        timeout_policy=pb.TaskDef.TimeoutPolicy.Value(definition.timeout_policy),
        retry_logic=pb.TaskDef.RetryLogic.Value(definition.retry_logic),
        retry_delay_seconds=_int32(definition.retry_delay_seconds),
        response_timeout_seconds=_int64(definition.response_timeout_seconds),
        concurrent_exec_limit=_int32(definition.concurrent_exec_limit),
        input_template=bytes_of_values(definition.input_template),
        rate_limit_per_frequency=_int32(definition.rate_limit_per_frequency),
        rate_limit_frequency_in_seconds=_int32(definition.rate_limit_frequency_in_seconds),
        isolation_group_id=definition.isolation_group_id or "",
        execution_name_space=definition.execution_name_space or "",
        owner_email=definition.owner_email or "",
        poll_timeout_seconds=_int32(definition.poll_timeout_seconds),
        backoff_scale_factor=_int32(definition.backoff_scale_factor),
        base_type=definition.base_type or "",
        total_timeout_seconds=_int64(definition.total_timeout_seconds),
        task_status_listener_enabled=definition.task_status_listener_enabled,
        max_retry_delay_seconds=_int32(definition.max_retry_delay_seconds),
        backoff_jitter_ms=_int32(definition.backoff_jitter_ms),
    )


def workflow_def_message(definition: WorkflowDef) -> twin.WorkflowDef:
    """A workflow definition."""
    return twin.WorkflowDef(
        name=definition.name,
        description=definition.description or "",
        version=_int32(definition.version),
        tasks=workflow_task_messages(definition.tasks),
        input_parameters=definition.input_parameters,
        output_parameters=bytes_of_values(definition.output_parameters),
        failure_workflow=definition.failure_workflow or "",
        schema_version=_int32(definition.schema_version),
        restartable=definition.restartable,
        workflow_status_listener_enabled=definition.workflow_status_listener_enabled,
        owner_email=definition.owner_email or "",
        timeout_policy=pb.WorkflowDef.TimeoutPolicy.Value(definition.timeout_policy),
        timeout_seconds=_int64(definition.timeout_seconds),
        variables=bytes_of_values(definition.variables),
        input_template=bytes_of_values(definition.input_template),
        failure_workflow_version=_int32(definition.failure_workflow_version),
        workflow_status_listener_sink=definition.workflow_status_listener_sink or "",
        rate_limit_config=_rate_limit(definition.rate_limit_config),
        input_schema=_schema(definition.input_schema),
        output_schema=_schema(definition.output_schema),
        enforce_schema=definition.enforce_schema,
        metadata=bytes_of_values(definition.metadata),
        cache_config=_cache(definition.cache_config),
        masked_fields=definition.masked_fields,
    )


def workflow_task_messages(tasks: Iterable[WorkflowTask]) -> list[twin.WorkflowTask]:
    """A sequence with all that is in it; validation bounds the depth."""
    return [workflow_task_message(task) for task in tasks]


def workflow_task_message(task: WorkflowTask) -> twin.WorkflowTask:
    """One task with all that is in it."""
    sequence = twin.WorkflowTask.WorkflowTaskList
    return twin.WorkflowTask(
        name=task.name,
        task_reference_name=task.task_reference_name,
        description=task.description or "",
        input_parameters=bytes_of_values(task.input_parameters),
        type=task.type,
        dynamic_task_name_param=task.dynamic_task_name_param or "",
        case_value_param=task.case_value_param or "",
        case_expression=task.case_expression or "",
        decision_cases={
            name: sequence(tasks=workflow_task_messages(inner))
            for name, inner in task.decision_cases.items()
        },
        dynamic_fork_tasks_param=task.dynamic_fork_tasks_param or "",
        dynamic_fork_tasks_input_param_name=task.dynamic_fork_tasks_input_param_name or "",
        default_case=workflow_task_messages(task.default_case),
        fork_tasks=[sequence(tasks=workflow_task_messages(inner)) for inner in task.fork_tasks],
        start_delay=_int32(task.start_delay),
        sub_workflow_param=_params(task.sub_workflow_param),
        join_on=task.join_on,
        sink=task.sink or "",
        optional=task.optional,
        task_definition=task_def_message(task.task_definition) if task.task_definition else None,
        rate_limited=bool(task.rate_limited),
        default_exclusive_join_task=task.default_exclusive_join_task,
        script_expression=task.script_expression or "",
        async_complete=task.async_complete,
        loop_condition=task.loop_condition or "",
        loop_over=workflow_task_messages(task.loop_over),
        retry_count=_int32(RETRY_COUNT_UNSET if task.retry_count is None else task.retry_count),
        evaluator_type=task.evaluator_type or "",
        expression=task.expression or "",
        join_status=task.join_status or "",
        cache_config=_cache(task.cache_config),
        permissive=task.permissive,
        items=task.items or "",
        join_mode=pb.WorkflowTask.JoinMode.Value(task.join_mode or "SYNC"),
        metadata=bytes_of_values(task.metadata),
    )


def _params(params: SubWorkflowParams | None) -> twin.SubWorkflowParams | None:
    if params is None:
        return None
    inline = params.workflow_definition
    return twin.SubWorkflowParams(
        name=params.name or "",
        version=_int32(params.version),
        task_to_domain=params.task_to_domain or {},
        workflow_definition=None if inline is None else bytes_of(inline),
    )


def _rate_limit(config: JsonValue) -> pb.RateLimitConfig | None:
    if not isinstance(config, dict):
        return None
    reject = config.get("policy") == "REJECT"
    return pb.RateLimitConfig(
        rate_limit_key=_text(config.get("rateLimitKey")),
        concurrent_exec_limit=_whole(config.get("concurrentExecLimit")),
        policy=pb.RateLimitConfig.REJECT if reject else pb.RateLimitConfig.QUEUE,
    )


def _schema(schema: JsonValue) -> pb.SchemaDef | None:
    if not isinstance(schema, dict):
        return None
    return pb.SchemaDef(
        name=_text(schema.get("name")),
        version=_whole(schema.get("version")),
        type=SCHEMA_TYPES.get(_text(schema.get("type")), pb.SchemaDef.JSON),
    )


def _cache(config: JsonValue) -> pb.CacheConfig | None:
    if not isinstance(config, dict):
        return None
    return pb.CacheConfig(
        key=_text(config.get("key")), ttl_in_second=_whole(config.get("ttlInSecond"))
    )


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: JsonValue) -> int:
    """These are JSON documents that nothing has judged."""
    return _int32(value) if isinstance(value, int) else 0


def _int32(value: int | None) -> int:
    """What fits the field: inline definitions are JSON, whose numbers have no width."""
    return 0 if value is None else min(max(value, -(2**31)), 2**31 - 1)


def _int64(value: int) -> int:
    return min(max(value, -(2**63)), 2**63 - 1)
