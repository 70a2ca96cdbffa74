"""``/``: how everything is, in one look."""

from flask import Response

from receiver.console import shell
from receiver.console.figures import Figures, figures
from receiver.console.gate import Gate
from receiver.console.lookout import Lookout
from receiver.console.visitors import Visitor


class Overview:
    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self._drawn: tuple[object, Figures] | None = None

    def add_to(self, gate: Gate) -> None:
        gate.show("/", self.show, in_turn=True)

    def show(self, visitor: Visitor) -> Response:
        return shell.page(visitor, "overview.html", figures=self._figures())

    def _figures(self) -> Figures:
        """Draw what is known once, however many look at it."""
        known, drawn = self._lookout.look(), self._drawn
        if drawn is None or drawn[0] is not known:
            self._drawn = drawn = (known, figures(known))
        return drawn[1]
