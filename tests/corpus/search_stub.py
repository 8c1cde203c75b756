"""The search engine that the kitchen sinks' HTTP task asks: it knows two executions.

Answers like Elasticsearch, and only to the very request the definitions write, so that a request
that arrives changed becomes a failed task.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Final

from tests.corpus.serving import SEARCH_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED: Final = "/conductor/_search?size=10"
FOUND: Final = (
    {"workflowId": "w-1", "status": "COMPLETED"},
    {"workflowId": "w-2", "status": "PAUSED"},
)


class _Search(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        as_written = self.path == ASKED and self.headers["Host"] == SEARCH_NAME
        hits = [{"_index": "conductor", "_score": 1.0, "_source": each} for each in FOUND]
        body = json.dumps({"took": 1, "hits": {"total": {"value": len(hits)}, "hits": hits}})
        self.send_response(200 if as_written else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: the test's output is the test's."""


@contextmanager
def search_stub() -> Iterator[str]:
    """Serve for the block; gives its HOST:PORT on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Search) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
