"""What goes back on the wire, and in which manner."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from workers.sandbox.answers import Answer


@dataclass(frozen=True, slots=True)
class Reply:
    """``manner``: ``send``; ``cut``, which stops in the middle; or ``reset``, which sends nothing.

    ``route`` names the request in the books; ``subject`` is the job or render it made; ``film`` the key of a file.
    """

    route: str
    status: int
    kind: str
    headers: tuple[tuple[str, str], ...]
    length: int
    pieces: Iterable[bytes]
    manner: str = "send"
    subject: str = ""
    film: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether all that was asked for is sent, and not a range only."""
        return self.status == HTTPStatus.OK and self.manner == "send"

    @property
    def sent_length(self) -> int:
        """Bytes of the body that are really sent."""
        return self.length // 2 if self.manner == "cut" else self.length


def plain(route: str, answer: Answer, manner: str = "send") -> Reply:
    length = len(answer.body)
    pieces = (answer.body,)
    return Reply(route, answer.status, answer.kind, answer.headers, length, pieces, manner, answer.subject)
