"""Masked fields: hidden from who reads an execution, and from nobody who works on it."""

from __future__ import annotations

from podium.conductor import definition_pb2 as definition
from podium.conductor import task_service_pb2 as task
from podium.model.masking import masked_payload
from podium.model.payload import Payload
from podium.v1 import workflow_pb2 as podium
from tests.api.calls import plain, simple, values
from tests.api.edge import Edge
from tests.api.test_flow import completed, polled, registered, started, status_of
from tests.api.waiting import ended


async def test_masked_fields_are_hidden_where_executions_are_read() -> None:
    async with Edge() as edge:
        step = simple("a")
        values(step, "input_parameters", {"card": "${workflow.input.card}", "all": [{"pin": 3}]})
        flow = definition.WorkflowDef(name="one", tasks=[step], masked_fields=["card", "pin"])
        values(flow, "variables", {"pin": {"deep": 1}, "open": 2})
        values(flow, "output_parameters", {"card": "${a.output.card}", "n": "${a.output.n}"})
        await registered(edge, flow)
        workflow_id = await started(edge, card="4111", rest="r")
        got = await polled(edge, "a")
        assert plain(got.input_data) == {"card": "4111", "all": [{"pin": 3}]}
        await completed(edge, got, card="4222", n=1)
        await ended(edge, workflow_id)
        found = await status_of(edge, workflow_id)
        assert plain(found.input) == {"card": "***", "rest": "r"}
        assert plain(found.output) == {"card": "***", "n": 1}
        assert plain(found.variables) == {"pin": "***", "open": 2}
        one = (await edge.tasks.GetTask(task.GetTaskRequest(task_id=got.task_id))).task
        for shown in (found.tasks[0], one):
            assert plain(shown.input_data) == {"card": "***", "all": [{"pin": "***"}]}
            assert plain(shown.output_data) == {"card": "***", "n": 1}
        waited = await edge.podium.Wait(podium.WaitRequest(workflow_id=workflow_id))
        assert waited.output.json == b'{"card":"***","n":1}'


def test_what_holds_none_of_the_names_is_the_same_payload() -> None:
    payload = Payload.of({"a": [{"b": {}}]})
    assert masked_payload(payload, {"c"}) is payload
    assert masked_payload(payload, {"b"}).value == {"a": [{"b": "***"}]}
    assert payload.value == {"a": [{"b": {}}]}
