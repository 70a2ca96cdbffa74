"""A wire between a client and a server on this machine, which breaks, hangs or answers by itself as a test tells it."""

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_PIECE = 65_536
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Plan:
    """What happens to one connection. ``up``: it is reset once so many bytes went to the server. ``down``: it is closed
    once so many came back, or with ``hold`` it hangs until that is set. ``say``: what the client gets for its first
    bytes instead of an answer of the server.
    """

    up: int | None = None
    down: int | None = None
    hold: threading.Event | None = None
    say: bytes = b""
    held: threading.Event = field(default_factory=threading.Event)


class Wire:
    """Each new connection takes the next of ``plans``, or ``usual`` once there is none. Used with ``with``."""

    def __init__(self, port: int, *, usual: Callable[[], Plan] = Plan) -> None:
        self.plans: deque[Plan] = deque()
        self.usual = usual
        self.connections = 0
        self.up = self.down = 0
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                plan = self.plans.popleft() if self.plans else self.usual()
                threading.Thread(target=self._carry, args=(client, plan), daemon=True).start()

    def _carry(self, client: socket.socket, plan: Plan) -> None:
        if plan.say:
            with client, contextlib.suppress(OSError):
                client.recv(_PIECE)
                client.sendall(plan.say)
                client.shutdown(socket.SHUT_WR)
                while client.recv(_PIECE):
                    pass
            return
        server = socket.create_connection(self._target)
        back = threading.Thread(target=self._down, args=(server, client, plan), daemon=True)
        back.start()
        self._pump(client, server, plan.up, "up")
        back.join()
        for end in (client, server):
            end.close()

    def _down(self, server: socket.socket, client: socket.socket, plan: Plan) -> None:
        self._pump(server, client, plan.down, "down", plan)

    def _pump(
        self, source: socket.socket, sink: socket.socket, most: int | None, way: str, plan: Plan | None = None
    ) -> None:
        try:
            while piece := source.recv(_PIECE if most is None else min(_PIECE, most or 1)):
                if most == 0 and plan is not None and plan.hold is not None:
                    plan.held.set()
                    plan.hold.wait()
                    most = None
                elif most == 0:
                    _close(sink, source, hard=way == "up")
                    return
                sink.sendall(piece)
                setattr(self, way, getattr(self, way) + len(piece))
                most = None if most is None else most - len(piece)
        except OSError:
            _close(sink, source, hard=True)
            return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)  # what is on its way still arrives


def _close(*ends: socket.socket, hard: bool) -> None:
    """Wake whoever reads from either end. ``hard``: what is under way is lost with it."""
    for end in ends:
        with contextlib.suppress(OSError):
            if hard:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.shutdown(socket.SHUT_RDWR)


def answering(status: int, body: bytes = b"") -> Plan:
    """Answer the first request of a connection like a server that cannot."""
    head = f"HTTP/1.1 {status} Not Now\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return Plan(say=head.encode() + body)
