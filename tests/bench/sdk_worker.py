"""A worker of the SDK as a process of its own: completes every task at once.

Run as `python -m tests.bench.sdk_worker TARGET`. It announces itself with the line that
processes.serving waits for, and ends on SIGTERM.
"""

import json
import sys

from podium_worker import Worker, worker_task
from tests.bench.jobs import TASK_TYPE

TASKS_MAX = 1_000


@worker_task(TASK_TYPE, tasks_max=TASKS_MAX)
async def step(task_input: object) -> dict[str, str]:
    """The same output for every task."""
    del task_input
    return {"text": "done"}


if __name__ == "__main__":
    print(json.dumps({"event": "serving", "grpc": sys.argv[1]}), flush=True)
    Worker(sys.argv[1], tasks=[step]).run_forever()
