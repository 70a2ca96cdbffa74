"""Which shorts of a result are rendered, and how: the rules of a file, overridden by what one submission asks for.

The file is TOML, one table per function, ``default`` for the rest::

    [VideoShorts]
    shorts = "all"            # or a number (the first ones), or a list of ids, or "none"
    preset = "VIRAL"
    brand_preset = "brand_22"
    size = {width = 1080, height = 1920, name = "9:16"}
    options = {maxWordsInPage = 4}

A submission says the same under ``render``; ``true`` stands for the rules of the file, ``false`` for no renders.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from workers.errors import InvalidInput
from workers.guards import Notes, check_render_options, render_notes
from workers.renders import render_request
from workers.results import Short


def _plain(value: object) -> object:
    """Let through what can be sent: TOML also knows dates, and numbers that are none."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("holds a value that JSON has no form for, such as a date or nan") from None
    return value


def _whole(value: object) -> object:
    """JSON knows one kind of number: 1080.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    try:
        check_render_options(options)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return options


Whole = Annotated[int, BeforeValidator(_whole)]
# No encoder of videos goes further.
Pixels = Annotated[int, Field(ge=1, le=16_384), BeforeValidator(_whole)]


class Size(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    width: Pixels
    height: Pixels
    name: str | None = Field(default=None, max_length=100)


class RenderRule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shorts: Literal["all", "none"] | Annotated[int, Field(ge=0), BeforeValidator(_whole)] | list[Whole | str] = "all"
    preset: str | None = Field(default=None, max_length=100)
    brand_preset: str | None = Field(default=None, max_length=200)
    size: Size | None = None
    options: Annotated[dict[str, Any], AfterValidator(_plain), AfterValidator(_checked)] | None = None

    @property
    def notes(self) -> Notes:
        """What is not known of it here, and passed on to Swiftia all the same."""
        return render_notes(preset=self.preset, brand_preset=self.brand_preset, options=self.options)

    def chosen(self, shorts: Sequence[Short]) -> list[Short]:
        match self.shorts:
            case "all":
                return list(shorts)
            case "none":
                return []
            case int(first):
                return list(shorts[:first])
            case ids:
                # 1 and "1" are two ids; True is none of them.
                return [short for short in shorts if any(same_id(short.id, one) for one in ids)]

    def requests(self, job_id: str, shorts: Sequence[Short]) -> list[dict[str, Any]]:
        """One body of POST /api/render for each short to render, in the order of the result."""
        return [
            render_request(
                job_id,
                short.id,
                preset=self.preset,
                brand_preset_id=self.brand_preset,
                size=None if self.size is None else self.size.model_dump(exclude_none=True),
                options=self.options,
            )
            for short in self.chosen(shorts)
        ]


Rules = Mapping[str, RenderRule]


def same_id(one: int | str, other: int | str) -> bool:
    return type(one) is type(other) and one == other


def read_rules(text: str) -> Rules:
    """Raise ``InvalidInput`` naming the table and the field."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, brackets thousands deep
        raise InvalidInput(f"RENDER_RULES is no TOML: {str(error)[:200]}") from None
    return {function: read_rule(rule, where=f"RENDER_RULES [{function}]") for function, rule in document.items()}


def read_rule(value: object, *, where: str) -> RenderRule:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} must be a table with any of: {', '.join(RenderRule.model_fields)}")
    try:
        return RenderRule.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(f"{where} {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors(include_input=False)[0]
    field, *inside = (str(part) for part in first["loc"])
    if field == "shorts":  # what is said for each of its three forms would be a riddle
        return 'shorts: must be "all", "none", a number from 0, or a list of ids'
    return f"{'.'.join([field, *inside])}: {first['msg'].removeprefix('Value error, ')}"


def rule_for(rules: Rules, function: str | None, asked: object) -> RenderRule:
    """``asked``: what the submission said under ``render``: None, a boolean or a table whose fields win."""
    base = rules.get(function or "", rules.get("default", RenderRule()))
    if asked is False:
        return RenderRule(shorts="none")
    if asked is None or asked is True:
        return base
    if not isinstance(asked, dict):
        raise InvalidInput("render is true, false, or an object of render options")
    return read_rule({**base.model_dump(exclude_unset=True), **asked}, where="render")
