"""What ``submit`` is asked to do, as the body of ``POST /api/jobs``."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from workers.documents import parse_json
from workers.errors import InvalidInput

# Ids have 11 characters today; the sandbox takes words that make a job misbehave.
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{3,64}", re.ASCII)
_YOUTUBE_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")


def source(video: str) -> dict[str, str]:
    """Say where the video is: ``youtubeVideoId`` (an id or a YouTube address) or ``fileUrl``.

    >>> source("https://youtu.be/dQw4w9WgXcQ"), source("https://cdn.example.org/talk.mp4")
    ({'youtubeVideoId': 'https://youtu.be/dQw4w9WgXcQ'}, {'fileUrl': 'https://cdn.example.org/talk.mp4'})
    """
    video = video.strip()
    if _YOUTUBE_ID.fullmatch(video):
        return {"youtubeVideoId": video}
    host = _host(video)
    if not host:
        raise InvalidInput(
            f"{video[:80]!r} is no video; give a YouTube id, a YouTube address or the http(s) address of a file"
        )
    is_youtube = any(host == known or host.endswith(f".{known}") for known in _YOUTUBE_HOSTS)
    return {"youtubeVideoId" if is_youtube else "fileUrl": video}


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        return (parts.hostname or "").lower() if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""


def nested(pairs: Iterable[str], *, what: str) -> dict[str, object]:
    """Read ``key=value`` pairs: dots in a key nest, a value that is JSON is taken as such.

    >>> nested(["size.width=1080", "language=en", "cut=[1, 2]"], what="--option")
    {'size': {'width': 1080}, 'language': 'en', 'cut': [1, 2]}
    """
    found: dict[str, object] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        names = key.split(".")
        if not equals or not all(names):
            raise InvalidInput(f"{what} {pair[:80]!r} is not key=value; write for example {what} language=en")
        _put(found, names, _value(text), what)
    return found


def _put(into: dict[str, object], names: list[str], value: object, what: str) -> None:
    *outer, last = names
    for name in outer:
        inner = into.setdefault(name, {})
        if not isinstance(inner, dict):
            raise InvalidInput(f"{what} {'.'.join(names)!r} stands under {name!r}, which has a value of its own")
        into = inner
    if last in into:
        raise InvalidInput(f"{what} {'.'.join(names)!r} is given twice")
    into[last] = value


def _value(text: str) -> object:
    try:
        return parse_json(text.encode("utf-8", "replace"), what="a value")
    except InvalidInput:
        return text


def order(
    video: str, *, function: str, options: Iterable[str], metadata: Iterable[str], render: bool
) -> dict[str, object]:
    """Return Swiftia's own body with our ``metadata`` and ``render`` beside it. Raise InvalidInput."""
    body: dict[str, object] = {"functionName": function, **source(video)}
    if chosen := nested(options, what="--option"):
        body["options"] = chosen
    if words := nested(metadata, what="--metadata"):
        body["metadata"] = words
    if not render:
        body["render"] = False
    return body
