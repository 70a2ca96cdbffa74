"""Listens to event streams as a browser does: a parser written from the HTML standard alone, and a connection."""

import contextlib
import http.client
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class Heard:
    event: str
    data: str
    last_id: str


@dataclass
class Parser:
    """Section 9.2.6 of the HTML standard, line by line."""

    last_id: str = ""
    retry: int | None = None
    comments: list[str] = field(default_factory=list)
    _data: list[str] = field(default_factory=list)
    _event: str = ""
    _id: str = ""

    def lines(self, text: str) -> list[Heard]:
        """Read whole lines, which must end where the text does."""
        unified = text.replace("\r\n", "\n").replace("\r", "\n")
        assert not unified or unified.endswith("\n")
        return [heard for line in unified.split("\n")[:-1] if (heard := self.line(line))]

    def line(self, line: str) -> Heard | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            self.comments.append(line[1:])
            return None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry = int(value)
        return None

    def _dispatch(self) -> Heard | None:
        self.last_id = self._id
        data, event = self._data, self._event
        self._data, self._event = [], ""
        return Heard(event or "message", "\n".join(data), self.last_id) if data else None


class Ear:
    """One listening connection. ``hear`` gives event after event, and ends when the server ends the answer."""

    def __init__(self, port: int, path: str, *, token: str, last_id: str = "", timeout: float = 20) -> None:
        self.parser = Parser()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self._connection.request("GET", path, headers=headers | ({"Last-Event-ID": last_id} if last_id else {}))
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    def hear(self) -> Iterator[Heard]:
        with contextlib.suppress(http.client.IncompleteRead, ConnectionResetError):
            while line := self.answer.readline():
                heard = self.parser.line(line.decode().rstrip("\n"))
                if heard:
                    yield heard

    def until(self, *events: str) -> list[Heard]:
        """Hear up to an event of these names, or to the end."""
        found = []
        for heard in self.hear():
            found.append(heard)
            if heard.event in events:
                break
        return found

    def close(self) -> None:
        self.answer.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
