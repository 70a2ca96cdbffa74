"""A wire that delays: a TCP proxy on loopback. What passes keeps its order; each piece is late by a draw of its own."""

import asyncio
import contextlib
import queue
import random
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit


@contextlib.contextmanager
def delayed(url: str, most_s: float, *, seed: int, least_s: float = 0.0) -> Iterator[str]:
    """Yield the address of a proxy before ``url``; each direction is late by ``least_s`` to ``most_s`` seconds."""
    wire = _Wire(url, least_s, most_s, random.Random(seed))  # noqa: S311 - a seed repeats a run
    thread = threading.Thread(target=_run, args=(wire,), name="delays", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{wire.port.get(timeout=20)}"
    finally:
        wire.end()
        thread.join()


def _run(wire: "_Wire") -> None:
    # Of the selectors this one counts in microseconds; the others round each wait up to a whole millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(wire.carry())


class _Wire:
    def __init__(self, url: str, least_s: float, most_s: float, chance: random.Random) -> None:
        self.port: queue.Queue[int] = queue.Queue()
        self._target = urlsplit(url)
        self._delay = lambda: chance.uniform(least_s, most_s)
        self._near: list[_Near] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()

    async def carry(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(self._met, "127.0.0.1", 0)
        self.port.put(server.sockets[0].getsockname()[1])
        await self._over.wait()
        server.close()
        for near in self._near:
            near.abort()
        await server.wait_closed()

    def end(self) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._over.set)

    def _met(self) -> "_Near":
        self._near = [near for near in self._near if not near.is_over]
        self._near.append(_Near(self._target.hostname, self._target.port, self._delay))
        return self._near[-1]


class _End(asyncio.Protocol):
    """One end of a connection: what it receives leaves by the other end, later."""

    def __init__(self, delay) -> None:
        self._delay = delay
        self._due = 0.0
        self._acts: deque[Callable[[asyncio.Transport], None]] = deque()
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._said_all = False

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._later(lambda transport: transport.write(data))

    def eof_received(self) -> bool:
        self._later(self._end)
        return True

    def _end(self, transport) -> None:
        transport.write_eof()
        self._said_all = True
        if self.other and self.other._said_all:  # noqa: SLF001 - one of us
            for each in (transport, self.transport):
                each.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._later(reset if error else lambda transport: transport.close())

    def _later(self, act) -> None:
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time() + self._delay())
        self._acts.append(act)
        loop.call_at(self._due, self._pass_on)  # two of one moment may be called in any order

    def _pass_on(self) -> None:
        act = self._acts.popleft()
        transport = self.other.transport if self.other else None
        if transport is not None and not transport.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                act(transport)


def reset(transport: asyncio.Transport) -> None:
    # On, with zero seconds: what follows sends RST instead of FIN.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Near(_End):
    """The client's end; it connects to the other side first."""

    def __init__(self, host, port, delay) -> None:
        super().__init__(delay)
        self._host, self._port = host, port
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect(transport))

    @property
    def is_over(self) -> bool:
        ends = [end.transport for end in (self, self.other) if end]
        return all(transport is not None and transport.is_closing() for transport in ends)

    def abort(self) -> None:
        for end in (self, self.other):
            if end and end.transport:
                end.transport.abort()

    async def _connect(self, transport) -> None:
        far = _End(self._delay)
        far.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, self._host, self._port)
        except OSError:
            reset(transport)
            return
        self.other = far
        transport.resume_reading()
