"""Executions that are tried out with mocks (S-182): they run as others do, and touch nothing.

They are told by the domain that all their tasks have, which no worker can ask for: a domain of a
client holds no control character. Tasks of the server itself (HTTP and those that are installed)
have it, too. What would start or tell something beside the execution waits for its mock instead;
outputs are not kept for equal calls, run limits do not count it, and no failure workflow follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from podium.model.execution import ExecutionHeader

ALL_TASKS: Final = "*"
TRIAL_DOMAIN: Final = "trial\x1f"
TRIAL_DOMAINS: Final = {ALL_TASKS: TRIAL_DOMAIN}


def is_trial(header: ExecutionHeader) -> bool:
    """Whether mocks stand for its workers."""
    domains = header.task_to_domain
    return bool(domains) and domains.get(ALL_TASKS) == TRIAL_DOMAIN
