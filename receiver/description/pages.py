from collections.abc import Mapping
from typing import Final

from receiver.description.parameters import IF_NONE_MATCH
from receiver.description.routes import Answer, Content, Route, Schema

_TAG: Final = "This description"
_KEEPABLE: Final = {
    "ETag": "Changes with the version of the service.",
    "Cache-Control": "May be kept for a few minutes.",
}

SCHEMAS: Final[Mapping[str, Schema]] = {}


def _page(path: str, name: str, summary: str, media: str, *problems: str) -> Route:
    return Route(
        "GET",
        path,
        id=name,
        tag=_TAG,
        summary=summary,
        headers=(IF_NONE_MATCH,),
        answers={
            200: Answer(
                "As it says.", {media: Content({} if media.endswith("json") else {"type": "string"})}, _KEEPABLE
            ),
            304: Answer("It is what you have.", headers=_KEEPABLE),
        },
        problems=(*problems, "internal"),
        public=True,
    )


ROUTES: Final = (
    _page("/openapi.json", "getDescription", "This description, as OpenAPI 3.1", "application/json"),
    _page("/docs", "getPages", "This description, to be read", "text/html"),
    _page("/docs/style.css", "getStyle", "How these pages look", "text/css"),
    _page("/problems", "listProblems", "Every problem that this service answers with", "text/html"),
    _page(
        "/problems/{slug}", "explainProblem", "What a problem means and what to do about it", "text/html", "not-found"
    ),
)
