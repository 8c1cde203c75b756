"""Podium's Python worker: decorate a function, run a Worker.

    from podium_worker import Worker, worker_task

    @worker_task("resize_image", tasks_max=4)
    def resize_image(task_input):
        return {"width": 100}

    Worker("127.0.0.1:8090", tasks=[resize_image]).run_forever()

Needs grpcio and protobuf only.
"""

from podium_worker.clock import Clock, SystemClock
from podium_worker.credentials import Credentials
from podium_worker.task import (
    ResultStatus,
    TaskContext,
    TaskResult,
    TerminalError,
    WorkerTask,
    worker_task,
)
from podium_worker.transport import Connection, ConnectionLost, Transport
from podium_worker.worker import Worker, WorkerRefused

__all__ = [
    "Clock",
    "Connection",
    "ConnectionLost",
    "Credentials",
    "ResultStatus",
    "SystemClock",
    "TaskContext",
    "TaskResult",
    "TerminalError",
    "Transport",
    "Worker",
    "WorkerRefused",
    "WorkerTask",
    "worker_task",
]
