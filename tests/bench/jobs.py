"""What the harness asks of the generator process and what it gets back, as one JSON text each.

A job travels as the generator's only argument, its answer as the only line on its stdout. Knows
nothing of processes or of gRPC.
"""

import msgspec


class Shape(msgspec.Struct, frozen=True):
    """A workflow made of `tasks` tasks one after the other, of one task type."""

    workflow: str
    tasks: int

    def references(self) -> list[str]:
        """Reference names in the order in which they run."""
        return [f"step_{number}" for number in range(1, self.tasks + 1)]

    def last_reference(self) -> str:
        return self.references()[-1]


TASK_TYPE = "bench_step"
VERSION = 1
ONE_TASK = Shape("bench_one_task", 1)
TEN_TASKS = Shape("bench_ten_tasks", 10)
SHAPES = (ONE_TASK, TEN_TASKS)


class Echo(msgspec.Struct, frozen=True, tag="echo"):
    """Call the bare echo with `calls` in flight; answered by a Rate of calls."""

    target: str
    calls: int
    warm_up_ms: int
    window_ms: int


class Saturate(msgspec.Struct, frozen=True, tag="saturate"):
    """Start workflows with `calls` unary calls in flight and do their tasks; answered by a Rate.

    `others` = servers over the same store, which get as many calls and workers as `target`. At most
    `open_limit` workflows per server are unfinished at any moment, so that starts cannot run away
    from one that is behind with results. Then everything must finish.
    """

    target: str
    shape: Shape
    calls: int
    open_limit: int
    warm_up_ms: int
    window_ms: int
    others: tuple[str, ...] = ()


class Pace(msgspec.Struct, frozen=True, tag="pace"):
    """Start `count` one-task workflows at an even pace; answered by Latencies.

    `worker_target` = the server that the worker is connected to, where it is another one.
    """

    target: str
    shape: Shape
    interval_ms: int
    warm_up_count: int
    count: int
    worker_target: str = ""


Job = Echo | Saturate | Pace


class Rate(msgspec.Struct, frozen=True):
    """What was finished per second within the window: calls, workflows and their tasks.

    `workflows` and `cpu_s`: finished in all, and the generator's CPU for them.
    """

    calls_per_s: float
    workflows_per_s: float
    tasks_per_s: float
    workflows: int = 0
    cpu_s: float = 0


class Latencies(msgspec.Struct, frozen=True):
    """Milliseconds on the generator's clock, from sending the start call, in order of sending.

    `received_ms`: until the worker has the task. `answered_ms`: until the call is answered.
    """

    received_ms: list[float]
    answered_ms: list[float]
