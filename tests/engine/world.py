"""Executions in memory that start, report to and end each other (tests/engine/machine.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium.engine.command import Continue, Rerun, Retry, Revive, Terminate, close_child
from podium.engine.transition import (
    ContinueSelf,
    ReleaseSlot,
    ReportToParent,
    RerunChild,
    RetryChild,
    ReviveParent,
    StartChild,
    TerminateChild,
)
from podium.model.definition import decode_workflow
from tests.engine.machine import T0, Machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.engine.transition import Effect
    from podium.model.definition import TaskDef, WorkflowDef
    from podium.model.execution import ParentLink


class World:
    """Executions that start, report to and end each other."""

    def __init__(
        self,
        *definitions: WorkflowDef,
        task_defs: Mapping[str, TaskDef | None] | None = None,
    ) -> None:
        self.definitions = {each.name: each for each in definitions}
        self.task_defs = task_defs or {}
        self.machines: dict[str, Machine] = {}
        self.tombstones: set[str] = set()
        self.failed_inputs: dict[str, str] = {}
        self.now_ms = T0

    def start(
        self, name: str, value: Mapping[str, Any] | None = None, workflow_id: str = "root",
        **fields: Any,
    ) -> Machine:  # fmt: skip
        machine = self.machine(self.definitions[name], workflow_id)
        machine.start(value, **fields)
        self.settle()
        return machine

    def machine(self, definition: WorkflowDef, workflow_id: str) -> Machine:
        machine = Machine(definition, workflow_id=workflow_id, task_defs=self.task_defs)
        machine.now_ms = self.now_ms
        self.machines[workflow_id] = machine
        return machine

    def settle(self) -> None:
        """Carry out effects until there are none."""
        busy = True
        while busy:
            busy = False
            for machine in list(self.machines.values()):
                while machine.effects:
                    busy = True
                    effect = machine.effects.popleft()
                    machine.done_effects.append(effect)
                    self.carry_out(machine, effect)

    def carry_out(self, machine: Machine, effect: Effect) -> None:
        match effect:
            case ContinueSelf():
                machine.send(Continue(cursor=effect.cursor))
            case StartChild():
                self.start_child(effect)
            case ReportToParent():
                parent = self.machines[effect.parent.workflow_id]
                parent.send(
                    close_child(
                        effect.parent,
                        effect.child_id,
                        effect.status,
                        output=effect.output,
                        reason=effect.reason,
                    )
                )
            case TerminateChild():
                child = self.machines.get(effect.workflow_id)
                if child is None:
                    self.tombstones.add(effect.workflow_id)
                else:
                    child.send(Terminate(reason=effect.reason, by_parent=True))
            case _:
                self.go_on(effect)

    def go_on(self, effect: Effect) -> None:
        if isinstance(effect, RetryChild):
            retry = Retry(resume_children=True, by_parent=True)
            self.machines[effect.workflow_id].send(retry)
        elif isinstance(effect, RerunChild):
            rerun = Rerun(task_ids=effect.task_ids, task_input=effect.task_input, by_parent=True)
            self.machines[effect.workflow_id].send(rerun)
        elif isinstance(effect, ReviveParent):
            told = effect.parent
            revive = Revive(
                task_id=told.task_id, run_epoch=told.run_epoch, child_id=effect.child_id
            )
            self.machines[told.workflow_id].send(revive)
        else:
            assert isinstance(effect, ReleaseSlot)

    def start_child(self, effect: StartChild) -> None:
        if effect.workflow_id in self.machines or effect.workflow_id in self.tombstones:
            return
        definition = self.definitions.get(effect.name)
        if effect.definition is not None:
            definition = decode_workflow(effect.definition)
        if definition is None:
            told = effect.parent or effect.starter
            assert told is not None
            self.tell(told, effect, "FAILED", f"No such workflow defined. name={effect.name}")
            return
        if effect.failed_workflow_id:
            self.failed_inputs[effect.workflow_id] = effect.failed_workflow_id
        self.machine(definition, effect.workflow_id).start(
            effect.input.value,
            correlation_id=effect.correlation_id,
            priority=effect.priority,
            task_to_domain=effect.task_to_domain,
            parent=effect.parent,
            secrets=effect.secrets,
        )
        if effect.starter is not None:
            self.tell(effect.starter, effect, "COMPLETED")

    def tell(
        self, told: ParentLink, effect: StartChild, status: str, reason: str | None = None
    ) -> None:
        command = close_child(told, effect.workflow_id, status, reason=reason)
        self.machines[told.workflow_id].send(command)
