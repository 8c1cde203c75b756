"""What the kitchen sink's HTTP task asks: a search engine that knows two executions.

Answers every request alike and closes; only the shape of an answer of Elasticsearch is kept.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

HITS: Final = (
    {"workflowId": "7d1c0a52-demo-execution-1", "status": "COMPLETED"},
    {"workflowId": "b04f9be6-demo-execution-2", "status": "RUNNING"},
)


@asynccontextmanager
async def search_stub() -> AsyncGenerator[str, None]:
    """Serve for the block; gives its HOST:PORT on loopback."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    hits = [
        {"_index": "conductor", "_id": hit["workflowId"], "_score": 1.0, "_source": hit}
        for hit in HITS
    ]
    total = {"value": len(hits), "relation": "eq"}
    body = json.dumps({"took": 1, "timed_out": False, "hits": {"total": total, "hits": hits}})
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write((head + body).encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
