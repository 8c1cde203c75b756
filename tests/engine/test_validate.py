"""Refusing definitions: every rule with its place, and no real definition refused by mistake."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from podium.engine.validate import Problem, validate_task, validate_workflow
from podium.engine.validate_operators import TYPES_NOT_BUILT
from podium.engine.warn import warnings_of
from podium.model.definition import TaskDef, WorkflowDef

CORPUS = Path("/work/shared/corpus")
BEGINS = (
    "a path that begins with workflow or a task, like task.output.name or task.output.list"
    "[?(@.n > 1)]"
)
SIMPLE = {"name": "work", "taskReferenceName": "s"}
JOIN = {"name": "join", "taskReferenceName": "j", "type": "JOIN"}


def flow(*tasks: object, **fields: object) -> WorkflowDef:
    return msgspec.convert({"name": "flow", "tasks": list(tasks), **fields}, WorkflowDef)


def of_type(kind: str, **fields: object) -> dict[str, object]:
    return {"name": "t", "taskReferenceName": "t", "type": kind, **fields}


def fork(*branches: object) -> dict[str, object]:
    return of_type("FORK_JOIN", forkTasks=list(branches))


def switch(**fields: object) -> dict[str, object]:
    known = {"evaluatorType": "value-param", "expression": "k", "decisionCases": {"0": [SIMPLE]}}
    return of_type("SWITCH", **{**known, **fields})


def sub(**params: object) -> dict[str, object]:
    return of_type("SUB_WORKFLOW", subWorkflowParam=params)


def reads(text: object) -> dict[str, object]:
    return {**SIMPLE, "inputParameters": {"x": text}}


def places(definition: WorkflowDef) -> list[str]:
    return [problem.place for problem in validate_workflow(definition)]


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "definition",
    [
        flow(SIMPLE),
        flow(SIMPLE, rateLimitConfig={}),
        flow(SIMPLE, rateLimitConfig={"rateLimitKey": "", "concurrentExecLimit": 0}),
        flow(SIMPLE, rateLimitConfig={"rateLimitKey": "a-${workflow.input.x.y}",
                                      "concurrentExecLimit": 3, "policy": "QUEUE"}),
        flow(of_type("MY_OWN_TYPE")),
        flow(fork([SIMPLE]), {**JOIN, "joinOn": ["s"]}),
        flow(switch(decisionCases={"0": []}), reads("${t.output.x} ${workflow.input.y}")),
        flow(of_type("DECISION", caseValueParam="k", decisionCases={"a": [SIMPLE]})),
        flow(of_type("DYNAMIC", dynamicTaskNameParam="k")),
        flow(of_type("EVENT", sink="conductor:done")),
        flow(of_type("EVENT", sink="${workflow.input.sink}")),
        flow(of_type("HTTP", inputParameters={"uri": "u", "method": "GET"})),
        flow(of_type("HTTP", taskDefinition={"name": "", "inputTemplate": {"http_request": {}}})),
        flow(of_type("TERMINATE", inputParameters={"terminationStatus": "${workflow.input.x}"})),
        flow(sub(name="${workflow.input.child}")),
        flow(sub(workflowDefinition="${workflow.input.child}")),
        flow(sub(workflowDefinition={"name": "in", "tasks": [SIMPLE]})),
        flow(of_type("FORK_JOIN_DYNAMIC", dynamicForkJoinTasksParam="k"), JOIN,
             reads("${made_later.output.x}")),
        flow(of_type("FORK_JOIN_DYNAMIC", inputParameters={"forkTaskInputs": []}),
             {**JOIN, "joinOn": ["made_later"]}),
        flow(switch(defaultCase=[{**sub(name="flow"), "taskReferenceName": "again"}])),
        flow({**sub(name="flow"), "optional": True}),
        flow(sub(name="flow", version=2)),
        flow(reads("${$${not.evaluated}")),
        flow(reads(deep(29))),
        flow(SIMPLE, inputSchema={"type": "JSON", "data": deep(119)}),
        flow({**SIMPLE, "taskDefinition": {"name": "", "timeoutSeconds": 1}}),
    ],
)  # fmt: skip
def test_sound_definitions_pass(definition: WorkflowDef) -> None:
    assert validate_workflow(definition) == []


@pytest.mark.parametrize(
    ("definition", "place"),
    [
        (flow(), "tasks"),
        (flow(SIMPLE, name=" "), "name"),
        (flow(SIMPLE, name="n" * 256), "name"),
        (flow(SIMPLE, name="a\nb"), "name"),
        (flow(SIMPLE, name="a{b}"), "name"),
        (flow(SIMPLE, version=0), "version"),
        (flow(SIMPLE, schemaVersion=1), "schemaVersion"),
        (flow(SIMPLE, timeoutSeconds=-1), "timeoutSeconds"),
        (flow(SIMPLE, failureWorkflow="a{"), "failureWorkflow"),
        (flow(SIMPLE, variables={"v": deep(30)}), "variables"),
        (flow(SIMPLE, inputSchema={"type": "JSON", "data": deep(120)}), "inputSchema"),
        (flow(SIMPLE, rateLimitConfig=[]), "rateLimitConfig"),
        (flow(SIMPLE, rateLimitConfig={"rateLimitKey": 5}), "rateLimitConfig.rateLimitKey"),
        (flow(SIMPLE, rateLimitConfig={"rateLimitKey": "${s.output.x}"}),
         "rateLimitConfig.rateLimitKey"),
        (flow(SIMPLE, rateLimitConfig={"rateLimitKey": "${workflow.secrets.x}"}),
         "rateLimitConfig.rateLimitKey"),
        *[(flow(SIMPLE, rateLimitConfig={"concurrentExecLimit": limit}),
           "rateLimitConfig.concurrentExecLimit") for limit in (-1, 1.5, "2", True)],
        (flow(SIMPLE, outputParameters={"o": "${gone.output}"}), "outputParameters.o"),
        (flow({**SIMPLE, "name": ""}), "tasks[0].name"),
        (flow({**SIMPLE, "taskReferenceName": ""}), "tasks[0].taskReferenceName"),
        (flow({**SIMPLE, "taskReferenceName": "workflow"}), "tasks[0].taskReferenceName"),
        (flow({**SIMPLE, "startDelay": -1}), "tasks[0].startDelay"),
        (flow({**SIMPLE, "retryCount": -1}), "tasks[0].retryCount"),
        (flow({**SIMPLE, "taskDefinition": {"name": "x", "retryCount": -1}}),
         "tasks[0].taskDefinition.retryCount"),
        (flow(SIMPLE, switch()), 'tasks[1].decisionCases["0"][0].taskReferenceName'),
        (flow(of_type("FORK")), "tasks[0].type"),
        (flow(of_type("")), "tasks[0].type"),
        (flow(of_type("DECISION", decisionCases={"a": []})), "tasks[0].caseValueParam"),
        (flow(of_type("DECISION", caseValueParam="k")), "tasks[0].decisionCases"),
        (flow(switch(decisionCases={})), "tasks[0].decisionCases"),
        (flow(switch(expression="")), "tasks[0].expression"),
        (flow(switch(evaluatorType="ruby")), "tasks[0].evaluatorType"),
        (flow(of_type("DYNAMIC")), "tasks[0].dynamicTaskNameParam"),
        (flow(fork(), JOIN), "tasks[0].forkTasks"),
        (flow(fork([SIMPLE], []), JOIN), "tasks[0].forkTasks[1]"),
        (flow(fork([SIMPLE])), "tasks[0]"),
        (flow(fork([SIMPLE]), {**SIMPLE, "taskReferenceName": "n"}), "tasks[0]"),
        (flow(of_type("FORK_JOIN_DYNAMIC", dynamicForkJoinTasksParam="k")), "tasks[0]"),
        (flow(of_type("FORK_JOIN_DYNAMIC"), JOIN), "tasks[0]"),
        (flow(of_type("FORK_JOIN_DYNAMIC", dynamicForkTasksParam="k"), JOIN), "tasks[0]"),
        (flow(of_type("FORK_JOIN_DYNAMIC", dynamicForkJoinTasksParam="k",
                      dynamicForkTasksParam="l"), JOIN), "tasks[0]"),
        (flow(SIMPLE, JOIN), "tasks[1]"),
        (flow(fork([SIMPLE]), {**JOIN, "joinOn": ["s", "gone"]}), "tasks[1].joinOn[1]"),
        (flow(fork([SIMPLE]), {**JOIN, "joinOn": ["j"]}), "tasks[1].joinOn[0]"),
        (flow(of_type("SUB_WORKFLOW")), "tasks[0].subWorkflowParam"),
        (flow(sub(version=1)), "tasks[0].subWorkflowParam.name"),
        (flow(sub(workflowDefinition="flow")), "tasks[0].subWorkflowParam.workflowDefinition"),
        (flow(sub(name="${gone.output.x}")), "tasks[0].subWorkflowParam.name"),
        (flow(sub(name="flow")), "tasks[0].subWorkflowParam.name"),
        (flow(fork([SIMPLE, {**sub(name="flow", version=1), "taskReferenceName": "u"}]), JOIN),
         "tasks[0].forkTasks[0][1].subWorkflowParam.name"),
        (flow(sub(workflowDefinition={"name": "in", "tasks": [of_type("KAFKA_PUBLISH")]})),
         "tasks[0].subWorkflowParam.workflowDefinition.tasks[0].type"),
        (flow(sub(workflowDefinition={"name": "in", "tasks": [{"name": 5}]})),
         "tasks[0].subWorkflowParam.workflowDefinition.tasks[0].name"),
        (flow(sub(workflowDefinition={"x": deep(300)})),
         "tasks[0].subWorkflowParam.workflowDefinition"),
        (flow(of_type("EVENT")), "tasks[0].sink"),
        (flow(of_type("EVENT", sink="conductors:a")), "tasks[0].sink"),
        (flow(of_type("EVENT", sink="queue")), "tasks[0].sink"),
        (flow(of_type("EVENT", sink="sqs:")), "tasks[0].sink"),
        (flow(of_type("EXCLUSIVE_JOIN")), "tasks[0].joinOn"),
        (flow(SIMPLE, {**JOIN, "type": "EXCLUSIVE_JOIN", "joinOn": ["s", "gone"]}),
         "tasks[1].joinOn[1]"),
        (flow(SIMPLE, {**JOIN, "type": "EXCLUSIVE_JOIN", "joinOn": ["j"]}), "tasks[1].joinOn[0]"),
        (flow(SIMPLE, {**JOIN, "type": "EXCLUSIVE_JOIN", "joinOn": ["s"],
                       "defaultExclusiveJoinTask": ["gone"]}),
         "tasks[1].defaultExclusiveJoinTask[0]"),
        (flow(of_type("HTTP", inputParameters={"uri": "u"})), "tasks[0].inputParameters"),
        (flow(of_type("TERMINATE")), "tasks[0].inputParameters.terminationStatus"),
        (flow(of_type("TERMINATE", inputParameters={"terminationStatus": "DONE"})),
         "tasks[0].inputParameters.terminationStatus"),
        (flow(of_type("TERMINATE", optional=True,
                      inputParameters={"terminationStatus": "FAILED"})), "tasks[0].optional"),
        (flow(reads("${gone.output.x}")), "tasks[0].inputParameters.x"),
        (flow(reads("${workflow.input.${gone.output}}")), "tasks[0].inputParameters.x"),
        (flow(reads(["", {"a b": "${s.output[?(x)]}"}])),
         'tasks[0].inputParameters.x[1]["a b"]'),
        (flow(reads("${workflow.secrets}")), "tasks[0].inputParameters.x"),
        (flow(reads("${workflow.secrets.key.deep}")), "tasks[0].inputParameters.x"),
        (flow(reads("${workflow.secrets[*]}")), "tasks[0].inputParameters.x"),
        (flow(reads(deep(30))), "tasks[0].inputParameters"),
        (flow(fork([switch(decisionCases={"0": [reads("${gone.output.x}")]})],
                   [{**SIMPLE, "taskReferenceName": "u"}]),
              JOIN), 'tasks[0].forkTasks[0][0].decisionCases["0"][0].inputParameters.x'),
        *[(flow(of_type(kind)), "tasks[0].type") for kind in sorted(TYPES_NOT_BUILT)],
        (flow(switch(evaluatorType="python")), "tasks[0].evaluatorType"),
        (flow(switch(evaluatorType="javascript", expression=" ")), "tasks[0].expression"),
        (flow(of_type("INLINE")), "tasks[0].inputParameters.expression"),
        (flow(of_type("INLINE", inputParameters={"expression": "1", "evaluatorType": "python"})),
         "tasks[0].inputParameters.evaluatorType"),
        (flow(of_type("INLINE", inputParameters={"expression": 5, "evaluatorType": "value-param"})),
         "tasks[0].inputParameters.expression"),
        (flow(of_type("LAMBDA", inputParameters={"scriptExpression": 5})),
         "tasks[0].inputParameters.scriptExpression"),
        (flow(of_type("JSON_JQ_TRANSFORM", inputParameters={"queryExpression": ""})),
         "tasks[0].inputParameters.queryExpression"),
        (flow(of_type("SET_VARIABLE")), "tasks[0].inputParameters"),
        (flow(of_type("START_WORKFLOW")), "tasks[0].inputParameters.startWorkflow"),
        (flow(of_type("START_WORKFLOW", inputParameters={"startWorkflow": "name"})),
         "tasks[0].inputParameters.startWorkflow"),
    ],
)  # fmt: skip
def test_a_fault_is_refused_at_its_place(definition: WorkflowDef, place: str) -> None:
    assert place in places(definition)


def test_what_is_hardly_meant_is_said_with_its_place_and_not_refused() -> None:
    branch = {**of_type("EVENT", sink="sqs:queue"), "taskReferenceName": "e"}
    join = {**JOIN, "joinOn": []}
    definition = flow(fork([SIMPLE], [branch]), join)
    assert not places(definition)
    assert [warning.place for warning in warnings_of(definition)] == [
        "tasks[0].forkTasks[1][0].sink",
        "tasks[1].joinOn",
    ]


def test_what_is_meant_is_not_warned_of() -> None:
    dynamic = of_type("FORK_JOIN_DYNAMIC", dynamicForkJoinTasksParam="k")
    event = {**of_type("EVENT", sink="conductor:a"), "taskReferenceName": "e"}
    assert not warnings_of(flow(dynamic, {**JOIN, "joinOn": []}, event))
    assert not warnings_of(flow(fork([SIMPLE]), {**JOIN, "joinOn": ["s"]}))


def test_all_problems_come_at_once_and_say_what_was_found() -> None:
    found = validate_workflow(
        flow(SIMPLE, SIMPLE, of_type("KAFKA_PUBLISH"), version=0, timeoutSeconds=-5)
    )
    assert found == [
        Problem("version", "expected 1 or more, found 0"),
        Problem("timeoutSeconds", "expected 0 or more, found -5"),
        Problem(
            "tasks[1].taskReferenceName",
            "taskReferenceName: s should be unique across tasks for a given "
            "workflowDefinition: flow, found it at tasks[0] too",
        ),
        Problem(
            "tasks[2].type", "expected a task type that is built, found KAFKA_PUBLISH at tasks[2]"
        ),
    ]


def keyed(config: object) -> WorkflowDef:
    parameters = {"uri": "${workflow.input.uri}"}
    return flow({**SIMPLE, "inputParameters": parameters, "cacheConfig": config})


@pytest.mark.parametrize(
    ("config", "place", "message"),
    [
        ("k", "", "expected an object with key and ttlInSecond, found k"),
        ([], "", "expected an object with key and ttlInSecond, found []"),
        ({"key": 5, "ttlInSecond": 5}, ".key", "expected text, found 5"),
        ({"key": "k", "ttlInSecond": "5"}, ".ttlInSecond",
         "expected a whole number of seconds, found 5"),
        ({"key": "k", "ttlInSecond": 1.5}, ".ttlInSecond",
         "expected a whole number of seconds, found 1.5"),
        ({"key": "k", "ttlInSecond": True}, ".ttlInSecond",
         "expected a whole number of seconds, found True"),
        ({"key": "k", "ttlInSecond": -1}, ".ttlInSecond", "expected 0 or more, found -1"),
        ({"key": "${uri}-${gone}", "ttlInSecond": 5}, ".key",
         "expected a reference of this definition, found gone"),
        ({"key": "${workflow.secrets.s}"}, ".key",
         "expected no secret, found workflow.secrets.s"),
        ({"key": "${$..x}"}, ".key",
         f"expected {BEGINS}, found $..x"),
    ],
)  # fmt: skip
def test_s_043_a_bad_cache_config_is_refused(config: object, place: str, message: str) -> None:
    assert validate_workflow(keyed(config)) == [Problem(f"tasks[0].cacheConfig{place}", message)]


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"key": "", "ttlInSecond": 0},
        {"key": "${uri}-${s.output.n}-${workflow.input.${uri}}", "ttlInSecond": 10**12},
    ],
)
def test_s_043_a_sound_cache_config_passes(config: object) -> None:
    assert validate_workflow(keyed(config)) == []


def test_enum_values_that_came_past_the_decoder_are_refused() -> None:
    definition = msgspec.structs.replace(flow(SIMPLE), timeout_policy="RETRY")
    assert places(definition) == ["timeoutPolicy"]


def test_nesting_is_bounded_without_recursion() -> None:
    """Both kinds of nesting: tasks inside tasks, and definitions inside definitions."""
    task: dict[str, object] = dict(SIMPLE)
    for level in range(31):
        task = {**switch(decisionCases={"0": [task]}), "taskReferenceName": f"n{level}"}
    assert [problem.message for problem in validate_workflow(flow(task))] == [
        "expected tasks at most 30 deep, found 31",
        "expected tasks at most 30 deep, found 32",
    ]

    inline: dict[str, object] = {"name": "in", "tasks": [SIMPLE]}
    for _ in range(16):
        inline = {"name": "in", "tasks": [sub(workflowDefinition=inline)]}
    assert [problem.message for problem in validate_workflow(flow(sub(workflowDefinition=inline)))
            ] == ["expected inline definitions at most 16 deep, found 17"]  # fmt: skip


def real_definitions() -> list[tuple[str, dict[str, object]]]:
    """Definitions of the corpus, by file name; a start request holds one inside."""
    found: list[tuple[str, dict[str, object]]] = []
    for file in sorted([*CORPUS.glob("kitchensink/*.json"), *CORPUS.glob("workflows/*.json")]):
        document = json.loads(file.read_text())
        document = document.get("workflowDef", document)
        if "tasks" in document:
            found.append((file.name, document))
    return found


def without_nulls(value: object) -> object:
    """Null is as good as absent in Conductor's documents (no parameter of the corpus is null)."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not on this machine")
def test_real_definitions_pass_but_for_what_is_not_built() -> None:
    passed: list[str] = []
    refused: dict[str, list[str]] = {}
    for name, document in real_definitions():
        problems = validate_workflow(msgspec.convert(without_nulls(document), WorkflowDef))
        unexpected = [
            f"{problem.place}: {problem.message}"
            for problem in problems
            if "that is built" not in problem.message and "not built yet" not in problem.message
        ]
        if unexpected:
            refused[name] = unexpected
        elif not problems:
            passed.append(name)
    # S-024: only schema version 2 can be registered.
    assert refused == {"wf1.json": ["schemaVersion: expected 2, found 1"]}
    assert len(passed) >= 45


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": ""}, "name"),
        ({"retryCount": -1}, "retryCount"),
        ({"timeoutSeconds": -1}, "timeoutSeconds"),
        ({"responseTimeoutSeconds": 0}, "responseTimeoutSeconds"),
        ({"timeoutSeconds": 10, "responseTimeoutSeconds": 11}, "responseTimeoutSeconds"),
        ({"timeoutSeconds": 5000, "totalTimeoutSeconds": 4000}, "timeoutSeconds"),
        ({"pollTimeoutSeconds": -1}, "pollTimeoutSeconds"),
        ({"backoffScaleFactor": 0}, "backoffScaleFactor"),
        ({"inputTemplate": {"x": deep(30)}}, "inputTemplate"),
        ({"outputSchema": {"type": "JSON", "data": deep(120)}}, "outputSchema"),
    ],
)
def test_task_definitions_are_refused_at_the_field(fields: dict[str, object], place: str) -> None:
    definition = msgspec.convert({"name": "work", **fields}, TaskDef)
    assert [problem.place for problem in validate_task(definition)] == [place]


def test_sound_task_definitions_pass() -> None:
    assert validate_task(TaskDef(name="work")) == []
    tight = TaskDef(
        name="w", timeout_seconds=10, response_timeout_seconds=10, total_timeout_seconds=10
    )
    assert validate_task(tight) == []
