"""The file of accounts, read into values.

``SWIFTIA_ACCOUNTS`` names a TOML file, one table per account::

    [acme]
    key_file = "acme.key"               # or key = "…"; a path counts from the folder of this file
    plan = "pro"                        # or rate_limit = "1/2s"
    base_url = "https://app.swiftia.io" # SWIFTIA_BASE_URL unless given; so are the rules those of RENDER_RULES
    delivery_url = "https://…"          # DELIVERY_URL or HANDLER unless given
    delivery_secret = "whsec_…"         # DELIVERY_SECRET unless given
    [acme.render.VideoShorts]
    shorts = 3
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, ValidationError

from workers.accounts import DEFAULT, VARIABLE, Account
from workers.addresses import web_url
from workers.errors import InvalidInput, InvalidSettings
from workers.identifiers import is_account
from workers.limits import PLANS, parse_rate_limit
from workers.rules import Rules, read_rule
from workers.signing import parse_secret

_KEY: Final = re.compile(r"[\x21-\x7e]{1,4096}", re.ASCII)


def _rate(text: str) -> str:
    try:
        parse_rate_limit(text)
    except InvalidInput:
        raise ValueError("is no rate limit; write requests per time, such as 5/1s or 1/5s") from None
    return text


def _plan(text: str) -> str:
    if text not in PLANS:
        raise ValueError(f"is no plan; the plans are {', '.join(PLANS)}")
    return text


def _api_url(text: str) -> str:
    if "@" in text:  # user and password in the address would be sent in the place of the key
        raise ValueError("is an address with a user; leave that out")
    return web_url(text)


def _key(key: SecretStr) -> SecretStr:
    if _KEY.fullmatch(key.get_secret_value()) is None:
        raise ValueError("is empty or has signs that no header can carry; copy the key again")
    return key


def _secret(secret: SecretStr) -> SecretStr:
    try:
        parse_secret(secret.get_secret_value())
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return secret


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: Annotated[SecretStr, AfterValidator(_key)] | None = None
    key_file: str | None = None
    plan: Annotated[str, AfterValidator(_plan)] | None = None
    rate_limit: Annotated[str, AfterValidator(_rate)] | None = None
    base_url: Annotated[str, AfterValidator(_api_url)] | None = None
    render: dict[str, Any] | None = None
    delivery_url: Annotated[str, AfterValidator(web_url)] | None = None
    delivery_secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None


def read_accounts(text: str, *, base_url: str, rules: Rules, read_file: Callable[[str], str]) -> dict[str, Account]:
    """Raise ``InvalidSettings`` with all problems together and no key in them.

    ``base_url`` and ``rules``: for accounts that have none of their own. ``read_file``: give the text of a
    ``key_file``, or raise ``InvalidInput``.
    """
    found: dict[str, Account] = {}
    problems: list[str] = []
    for name, table in _document(text).items():
        try:
            found[name] = _account(name, table, base_url=base_url, rules=rules, read_file=read_file)
        except InvalidSettings as error:
            problems += [f"{VARIABLE} [{name[:40]}] {problem}" for problem in error.problems]
    problems += doubled(found)
    if problems:
        raise InvalidSettings(problems)
    return found


def joined(own: Account, named: Mapping[str, Account]) -> dict[str, Account]:
    """Put the account of SWIFTIA_API_KEY beside those of the file. Raise ``InvalidSettings`` if they exclude it."""
    found = {own.name: own, **named}
    problems = doubled(found)
    if DEFAULT in named:
        whose = "each is the account of jobs that name none"
        problems.append(f"SWIFTIA_API_KEY is set and {VARIABLE} has [{DEFAULT}]: {whose}; keep one of them")
    if problems:
        raise InvalidSettings(problems)
    return found


def doubled(accounts: Mapping[str, Account]) -> list[str]:
    """Name accounts that have the same key: Swiftia counts their requests as those of one organization."""
    holders: dict[tuple[str, str], list[str]] = {}
    for name, one in accounts.items():
        if one.key is not None:
            holders.setdefault((one.base_url, one.key.get_secret_value()), []).append(name or "SWIFTIA_API_KEY")
    return [
        f"{VARIABLE}: {' and '.join(names)} have the same key; an organization has one allowance, so one account"
        for names in holders.values()
        if len(names) > 1
    ]


def _document(text: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, brackets thousands deep
        where = re.search(r"\(at [a-z0-9 ,]{1,60}\)$", str(error))  # the rest may quote what stands there
        raise InvalidSettings([f"{VARIABLE} is no TOML {where[0] if where else ''}".rstrip()]) from None
    if not document:
        raise InvalidSettings([f"{VARIABLE} names no account; write one table for each, such as [acme]"])
    return document


def _account(name: str, table: object, *, base_url: str, rules: Rules, read_file: Callable[[str], str]) -> Account:
    if not is_account(name):
        raise InvalidSettings(["is no name of an account; it is 1 to 32 of a-z, 0-9, '-' and '_'"])
    if not isinstance(table, dict):
        raise InvalidSettings([f"must be a table with any of: {', '.join(_Table.model_fields)}"])
    try:
        read = _Table.model_validate(table)
    except ValidationError as error:
        raise InvalidSettings(list(_told(error))) from None
    problems: list[str] = []
    key = _key_of(read, read_file, problems)
    own = _rules_of(read, rules, problems)
    if read.plan and read.rate_limit:
        problems.append("has plan and rate_limit; keep one of them")
    if problems or key is None:
        raise InvalidSettings(problems)
    return Account(
        name=name,
        key=key,
        rate_limit=parse_rate_limit(read.rate_limit) if read.rate_limit else PLANS[read.plan or "free"],
        base_url=read.base_url or base_url,
        rules=own,
        delivery_url=read.delivery_url,
        delivery_secret=read.delivery_secret,
    )


def _key_of(read: _Table, read_file: Callable[[str], str], problems: list[str]) -> SecretStr | None:
    if (read.key is None) == (read.key_file is None):
        problems.append("needs either key or key_file")
        return None
    if read.key is not None:
        return read.key
    try:
        return _key(SecretStr(read_file(read.key_file or "").strip()))
    except InvalidInput as error:
        problems.append(f"key_file: {error.message}")
    except ValueError as error:
        problems.append(f"key_file: its content {error}")
    return None


def _rules_of(read: _Table, rules: Rules, problems: list[str]) -> Rules:
    if read.render is None:
        return rules
    own = {}
    for function, rule in read.render.items():
        try:
            own[function] = read_rule(rule, where=f"render.{function[:40]}")
        except InvalidInput as error:
            problems.append(error.message)
    return own


def _told(error: ValidationError) -> Iterator[str]:
    """Say what is wrong and never with what: it may be a key in a wrong place."""
    for problem in error.errors(include_input=False, include_context=False, include_url=False):
        field = str(problem["loc"][0])[:40]
        if problem["type"] == "extra_forbidden":
            yield f"{field} is not known; the fields are {', '.join(_Table.model_fields)}"
        else:
            yield f"{field}: {problem['msg'].removeprefix('Value error, ')}"
