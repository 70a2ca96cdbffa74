"""A job's story in sentences: what each entry of its timeline means to a person. Pure; the one table of phrases."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from receiver.console.words import counted, size

_STEPS: Final = {
    "submit": "Submitting it",
    "fetch": "Fetching the result",
    "render": "Starting {render}",
    "watch": "Looking at {render}",
    "keep": "Bringing the file of {render} home",
    "deliver": "Sending {delivery}",
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """``text``: with the facts of the entry in { }. ``tone``: good, warn, bad, or empty for what just goes on."""

    text: str
    tone: str = ""


# By event, or by event and what kind of it: see _kind.
PHRASES: Final[Mapping[str, Phrase]] = {
    "accepted": Phrase("The submission was taken on here."),
    "accepted open": Phrase("A callback URL was handed out."),
    "known": Phrase("The job became known here."),
    "known submission": Phrase("Swiftia took the job on."),
    "known callback": Phrase("A callback named the job."),
    "known watch": Phrase("The job was named here, to be looked after."),
    "callback": Phrase("Swiftia called."),
    "callback again": Phrase("Swiftia called once more, with the same words."),
    "account.ignored": Phrase("A callback came under the URL of account {account}, which the job is not of.", "warn"),
    "result": Phrase("The result is kept: {shorts}, {renders} to be made."),
    "failed": Phrase("Swiftia says that the job failed.", "bad"),
    "refused": Phrase("Swiftia refused the submission.", "bad"),
    "render.started": Phrase("Swiftia took {render} on."),
    "render.unsure": Phrase(
        "Whether Swiftia had started {render} was not known, so it is started again: it may be paid for twice.", "warn"
    ),
    "render.failed": Phrase("Swiftia says that {render} failed.", "bad"),
    "render.done": Phrase("Swiftia has made {render}, {size}; seen after {polls}."),
    "render.kept": Phrase("The file of {render} is kept here, {size}.", "good"),
    "retry": Phrase("{step} did not work out and will be tried again ({tries} so far).", "warn"),
    "crashed": Phrase("A worker died in the middle of it.", "warn"),
    "silent": Phrase("A worker fell silent in the middle of it; another one takes over.", "warn"),
    "put_back": Phrase("A worker was stopped in the middle of it; it goes on at once."),
    "parked": Phrase("The job stopped: a person has to look.", "bad"),
    "parked render": Phrase("Work on {render} stopped: a person has to look.", "bad"),
    "retried": Phrase("Somebody set the job going again."),
    "retried render": Phrase("Somebody set {render} going again."),
    "finished": Phrase("The job is finished: {renders}, {failed} failed.", "good"),
    "delivered": Phrase("Your application took {of}.", "good"),
    "delivery.retry": Phrase("Your application did not take {delivery}; it is sent again later.", "warn"),
    "delivery.parked": Phrase("{delivery} was given up: a person has to look.", "bad"),
    "delivery.retried": Phrase("Somebody had {delivery} sent again."),
    "upstream.freed": Phrase("At Swiftia {files} of it were deleted, as all is kept here."),
    "upstream.not_freed": Phrase("Its files at Swiftia could not be deleted.", "warn"),
}
_UNKNOWN: Final = Phrase("{event}")


@dataclass(frozen=True, slots=True)
class Chapter:
    """``reason``: why, in the words that were given; empty for none."""

    at: str | None
    sentence: str
    reason: str
    tone: str


def story(timeline: Iterable[Mapping[str, Any]]) -> list[Chapter]:
    """Tell a timeline as ``JobView`` has it, in its order. Of an event that is not known there is its name."""
    return [_chapter(entry) for entry in timeline]


def _chapter(entry: Mapping[str, Any]) -> Chapter:
    event = str(entry.get("event") or "something happened")
    phrase = PHRASES.get(f"{event} {_kind(entry)}") or PHRASES.get(event, _UNKNOWN)
    sentence = phrase.text.format_map(_Facts(entry, event=event))
    at, reason = entry.get("at"), entry.get("reason")
    return Chapter(
        at=at if isinstance(at, str) else None,
        sentence=sentence[:1].upper() + sentence[1:],
        reason=reason if isinstance(reason, str) else "",
        tone=phrase.tone,
    )


def _kind(entry: Mapping[str, Any]) -> str:
    if entry.get("duplicate"):
        return "again"
    if entry.get("render") is not None:
        return "render"
    return str(entry.get("by") or entry.get("state") or "")


class _Facts(dict[str, str]):
    """The facts of an entry in words; something for each that is asked for."""

    def __init__(self, entry: Mapping[str, Any], *, event: str) -> None:
        super().__init__(event=event)
        self._entry = entry

    def __missing__(self, name: str) -> str:
        value = self._entry.get(name)
        match name:
            case "step":
                return _STEPS.get(str(value), "A step").format_map(self)
            case "render":
                return "a render" if value is None else f"render {value}"
            case "delivery":
                return "an event" if value is None else f"delivery {value}"
            case "size":
                return size(value) if isinstance(value, (int, float)) else "of unknown size"
        count = value if isinstance(value, int) else None
        if name in _COUNTED and count is not None:
            return counted(count, *_COUNTED[name])
        return "?" if value is None else str(value)


_COUNTED: Final = {
    "shorts": ("short",),
    "renders": ("render",),
    "files": ("file",),
    "polls": ("look",),
    "tries": ("try", "tries"),
}
