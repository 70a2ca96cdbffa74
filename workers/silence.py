"""How long something has not been heard."""


class Silence:
    """Counted from look to look, and never more than ``gap_s`` for one of them.

    So a listener that was itself held up, or stopped with all the others, does not take its own absence for theirs.
    Times are seconds of one monotonic clock.

    >>> silence = Silence(gap_s=5.0)
    >>> [silence.look(now, heard=now == 3.0) for now in (1.0, 2.0, 3.0, 4.5, 600.0)]
    [0.0, 1.0, 0.0, 1.5, 6.5]
    """

    def __init__(self, *, gap_s: float) -> None:
        self._gap_s = gap_s
        self._seconds = 0.0
        self._looked_at: float | None = None

    def look(self, now: float, *, heard: bool) -> float:
        """Return the seconds of silence. ``heard``: whether something was heard since the last look."""
        since = 0.0 if self._looked_at is None else min(max(0.0, now - self._looked_at), self._gap_s)
        self._seconds = 0.0 if heard else self._seconds + since
        self._looked_at = now
        return self._seconds
