"""Sends requests over kept-alive connections and notes when each was answered: one thread, plain sockets, one epoll.

What it takes of the machine is the same for every contestant: requests are made before the clock starts.
"""

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

_END = b"\r\n\r\n"


@dataclass
class Answers:
    """``late``: seconds, of those that were accepted; in an open run counted from when each was due."""

    seconds: float = 0.0
    late: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    broken: int = 0

    @property
    def rate(self) -> float:
        return len(self.late) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """In milliseconds; not a number where nothing was accepted."""
        ranked = sorted(self.late)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] * 1000 if ranked else float("nan")


class _Line:
    def __init__(self, port: int) -> None:
        self.port = port
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.began = 0.0
        self.got = b""

    def send(self, request: bytes, began: float) -> None:
        self.began, self.got = began, b""
        sent = self.sock.send(request)
        if sent < len(request):
            raise ConnectionError("a request does not fit into the socket")

    def status(self) -> int | None:
        """Read; the status once the answer is whole. Raises ConnectionError where the other side hung up."""
        try:
            more = self.sock.recv(65536)
        except BlockingIOError:
            return None
        if not more:
            raise ConnectionError("hung up")
        self.got += more
        head, end, body = self.got.partition(_END)
        if not end:
            return None
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return int(head[9:12]) if len(body) >= length else None


class Knocker:
    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._lines = {line.sock.fileno(): line for line in (_Line(port) for _ in range(connections))}
        self._poll = select.epoll()
        for descriptor in self._lines:
            self._poll.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()
        for line in self._lines.values():
            line.sock.close()

    def closed(self, requests: Iterator[bytes], seconds: float) -> Answers:
        """Each connection sends its next request as soon as the last one is answered."""
        found = Answers()
        began = time.perf_counter()
        over = began + seconds
        busy = 0
        for line in list(self._lines.values()):
            line.send(next(requests), time.perf_counter())
            busy += 1
        while busy:
            for line, status in self._heard(found, 10.0):
                busy -= 1
                now = time.perf_counter()
                self._note(found, status, now - line.began)
                request = next(requests, None) if now < over else None
                if request is not None:
                    line.send(request, now)
                    busy += 1
        found.seconds = time.perf_counter() - began
        return found

    def paced(self, requests: Iterator[bytes], seconds: float, rate: float) -> Answers:
        """So many a second, whatever becomes of them: one that finds no free connection waits, and is late."""
        found = Answers()
        free = deque(self._lines.values())
        total = int(seconds * rate)
        began = time.perf_counter()
        sent = busy = 0
        while sent < total or busy:
            now = time.perf_counter()
            while sent < total and free and began + sent / rate <= now:
                request = next(requests, None)
                if request is None:
                    total = sent
                    break
                free.popleft().send(request, began + sent / rate)
                sent, busy = sent + 1, busy + 1
            if sent >= total and not busy:
                break
            wait = 10.0 if sent >= total or not free else max(0.0, began + sent / rate - time.perf_counter())
            for line, status in self._heard(found, wait):
                busy -= 1
                self._note(found, status, time.perf_counter() - line.began)
                free.append(line)
        found.seconds = time.perf_counter() - began
        return found

    def _heard(self, found: Answers, wait: float) -> Iterator[tuple[_Line, int]]:
        events = self._poll.poll(wait)
        if not events and wait >= 10.0:
            raise TimeoutError("no answer for 10 seconds")
        for descriptor, _ in events:
            line = self._lines[descriptor]
            try:
                status = line.status()
            except ConnectionError:
                found.broken += 1
                status = 0
                self._renew(line)
            if status is not None:
                yield line, status

    def _renew(self, line: _Line) -> None:
        with contextlib.suppress(OSError):
            self._poll.unregister(line.sock.fileno())
        del self._lines[line.sock.fileno()]
        line.sock.close()
        line.sock = _Line(self._port).sock
        self._lines[line.sock.fileno()] = line
        self._poll.register(line.sock.fileno(), select.EPOLLIN)

    @staticmethod
    def _note(found: Answers, status: int, seconds: float) -> None:
        if 200 <= status < 300:
            found.late.append(seconds)
        else:
            found.refused[status] = found.refused.get(status, 0) + 1
