"""A handler of tests: it remembers what it was told, and fails once."""

from workers.events import Event, Later

heard: list[Event] = []
_failed: list[str] = []


def handle(event: Event) -> None:
    if not _failed:
        _failed.append(event.id)
        raise Later("not yet")
    heard.append(event)


def forget() -> None:
    heard.clear()
    _failed.clear()


not_a_function = 7
