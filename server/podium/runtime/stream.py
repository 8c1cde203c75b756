"""One worker stream: drives the pure session over a link, between the worker and the runtime.

One write is in flight; the next frame takes all that waits. The stream ends when the worker
half-closes, breaks the contract, breaks the link or is silent for two ping intervals, or when the
server ends it; its leases are then orphaned, and what was never sent goes back at once. Knows no
gRPC: a Link is a gRPC call, or a pair of queues in the simulation.
"""

from __future__ import annotations
