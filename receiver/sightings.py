"""What the API says of a job at one moment, read for showing it to a person."""

from dataclasses import dataclass

from workers.documents import member, number, text, whole
from workers.states import JOB_SETTLED, RENDER_SETTLED


def printable(value: object, *, limit: int = 200) -> str:
    """Return text that cannot steer a terminal: titles and reasons come from outside.

    >>> printable("tide" + chr(27) + "[2J")
    'tide\ufffd[2J'
    """
    shown = text(value, limit=limit) or ""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in shown)


@dataclass(frozen=True, slots=True)
class RenderSighting:
    """``progress`` from 0.0 to 1.0; ``size`` in bytes and ``sha256`` once the video is kept."""

    n: int
    state: str
    progress: float
    short: str
    size: int | None
    sha256: str
    reason: str

    @property
    def settled(self) -> bool:
        return self.state in RENDER_SETTLED


@dataclass(frozen=True, slots=True)
class JobSighting:
    """``job_id`` is empty as long as Swiftia has given none. ``progress`` counts the renders in, from 0.0 to 1.0."""

    job_id: str
    ref: str
    state: str
    title: str
    progress: float
    reason: str
    renders: tuple[RenderSighting, ...]

    @property
    def subject(self) -> str:
        """The name to ask the API with: the id, or the ref as long as there is none."""
        return self.job_id or self.ref

    @property
    def settled(self) -> bool:
        return self.state in JOB_SETTLED

    @property
    def finished(self) -> bool:
        return self.state == "finished"

    def summary(self) -> str:
        """Say in one line how it stands."""
        kept = sum(render.state in ("kept", "done") for render in self.renders)
        renders = f", {kept} of {len(self.renders)} videos" if self.renders else ""
        return f"{self.subject} {self.state}{renders}" + (f": {self.reason}" if self.reason else "")


def read_job(document: object) -> JobSighting:
    """Read an answer of ``GET /api/jobs/<id>``; what is missing or strange is left empty."""
    renders = member(document, "renders")
    return JobSighting(
        job_id=printable(member(document, "id")),
        ref=printable(member(document, "ref")),
        state=printable(member(document, "state")),
        title=printable(member(document, "title"), limit=60),
        progress=_fraction(member(document, "progress")),
        reason=printable(member(document, "reason"), limit=400),
        renders=tuple(_read_render(each) for each in renders) if isinstance(renders, list) else (),
    )


def _read_render(document: object) -> RenderSighting:
    short = member(document, "short")
    return RenderSighting(
        n=whole(member(document, "n")) or 0,
        state=printable(member(document, "state")),
        progress=_fraction(member(document, "progress")),
        short=printable(member(short, "title"), limit=40) or printable(short, limit=40),
        size=whole(member(document, "size")),
        sha256=printable(member(document, "sha256")),
        reason=printable(member(document, "reason"), limit=400),
    )


def _fraction(value: object) -> float:
    return min(1.0, max(0.0, number(value) or 0.0))
