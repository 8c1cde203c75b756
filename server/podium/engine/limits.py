"""Limits of the engine (architecture §9); exceeding one is an error that names limit and value."""

from __future__ import annotations

from typing import Final

BRANCHES_LIMIT: Final = 20_000
"""Branches of one dynamic fork."""
TASKS_LIMIT: Final = 100_000
"""Tasks of one execution, retries counted."""
DEPTH_LIMIT: Final = 16
"""Sub-workflows within sub-workflows."""
PAYLOAD_BYTES_LIMIT: Final = 10 * 1024 * 1024
"""Input or output of a task or workflow, as JSON text."""
CACHED_BYTES_LIMIT: Final = 1024 * 1024
"""A larger output is not kept for equal calls."""
CACHED_SECONDS_MAX: Final = 2**31 - 1
VARIABLES_BYTES_LIMIT: Final = 256 * 1024
"""All variables of a workflow, as JSON text (S-472)."""
STATE_EVENTS_LIMIT: Final = 10
"""Events that one entry of an onStateChange raises."""
STATE_EVENT_BYTES_LIMIT: Final = 64 * 1024
"""Payload of one event, as JSON text."""
EVENTS_BYTES_LIMIT: Final = 1024 * 1024
"""Payloads of all events of one commit: they stand in its history row."""
REASON_CHARS_LIMIT: Final = 500
"""reasonForIncompletion of a task (S-008)."""
WORKFLOW_REASON_CHARS_LIMIT: Final = 16_000
"""Of a workflow, whose header is read and written with every change."""
SHOWN_CHARS_LIMIT: Final = 1_000
"""A user's value within an error text."""
NOTED_LIMIT: Final = 20
"""Reasons and names that a header or join keeps of what may be thousands of failures."""
LEASES_LOST_LIMIT: Final = 3
"""Leases lost in a row that charge an attempt."""
LOGS_LIMIT: Final = 10
"""Log lines that one result brings: the last ones are kept (S-175)."""
LOG_CHARS_LIMIT: Final = 16 * 1024
"""Of one log line, which is cut."""
