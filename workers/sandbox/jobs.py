"""A job of the sandbox: everything about it is decided when it is made, its state follows from the clock."""

from dataclasses import dataclass

_STAGES = ((0.1, 5), (0.4, 30), (0.8, 60))
_LAST_STAGE = 85
_SILENT_GETS = 2


@dataclass(frozen=True, slots=True)
class Short:
    """``start`` and ``end`` in seconds. ``chosen``: by the AI, rather than predefined by the caller."""

    id: int | str
    title: str
    text: str
    start: float
    end: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Job:
    """Times are epoch seconds; ``ends_at`` is infinite for a job that is stuck."""

    id: str
    dialect: str
    video: str
    title: str
    words: frozenset[str]
    webhook: str
    body_form: str
    created_at: float
    ends_at: float
    fails: bool
    extras: bool
    shorts: tuple[Short, ...]

    def phase(self, now: float) -> str:
        """``running``, ``completed``, ``failed`` or ``archived``."""
        if now < self.ends_at:
            return "running"
        if "archived" in self.words:
            return "archived"
        return "failed" if self.fails else "completed"

    def status(self, now: float, poll: int) -> str | None:
        """What the field ``status`` says to the GET number ``poll``, counted from 1."""
        if "null-status" in self.words and poll <= _SILENT_GETS:
            return None
        if (phase := self.phase(now)) != "running":
            return phase.upper()
        return "TRANSCRIBING" if "odd-status" in self.words else "PROCESSING"

    @property
    def verdict(self) -> str:
        """The status it ends with."""
        return "FAILED" if self.fails else "COMPLETED"

    def progress(self, now: float) -> int:
        """Stages from 0 to 100 [GJ2]."""
        if now >= self.ends_at and not self.fails:
            return 100
        part = min(1.0, (now - self.created_at) / max(self.ends_at - self.created_at, 1e-9))
        return next((stage for until, stage in _STAGES if part < until), _LAST_STAGE)

    def short(self, target: object) -> Short | None:
        """Find a short by an id of the same JSON type: 1 is not "1", nor 1.0, nor true."""
        return next((each for each in self.shorts if type(each.id) is type(target) and each.id == target), None)

    @property
    def cost_parts(self) -> dict[str, float]:
        minutes = sum(short.end - short.start for short in self.shorts) / 60
        return {"shortGen": 0.205 + round(minutes * 0.03, 3), "youtubeProcessing": 0.121}

    @property
    def cost(self) -> float:
        """The parts, rounded: their sum need not be equal to it [GJ2]."""
        return round(sum(self.cost_parts.values()), 2)
