"""A bare unary echo on grpc.aio and uvloop: what one call costs before anything is done in it.

Run as `python -m tests.bench.echo`. Bytes in, the same bytes out; no message is parsed.
"""

import asyncio
import json
import signal

import grpc
import grpc.aio
import uvloop

SERVICE = "podium.bench.Echo"
METHOD = "Call"
PATH = f"/{SERVICE}/{METHOD}"


async def answer(request: bytes, context: object) -> bytes:
    """The whole service."""
    return request


async def serve() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"event": "serving", "grpc": f"127.0.0.1:{port}"}), flush=True)
    await stop.wait()
    await server.stop(0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
