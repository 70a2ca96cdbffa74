"""The organizations at Swiftia that one installation works for, each with a key and an allowance of its own.

``accountfile`` reads them. The account of SWIFTIA_API_KEY has the empty name; without a file it is the only one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from workers.errors import InvalidInput
from workers.limits import RateLimit
from workers.rules import Rules

VARIABLE: Final = "SWIFTIA_ACCOUNTS"
DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Account:
    """``key`` is None where none is set. ``delivery_url``: where the application is told of jobs that do not say where;
    None: what DELIVERY_URL or HANDLER say. ``delivery_secret`` signs what is delivered; None: the installation's do.
    """

    name: str
    key: SecretStr | None
    rate_limit: RateLimit
    base_url: str
    rules: Rules
    delivery_url: str | None = None
    delivery_secret: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Accounts:
    """``by_name``: at least one; the one of SWIFTIA_API_KEY under the empty name."""

    by_name: Mapping[str, Account]

    @property
    def several(self) -> bool:
        return len(self.by_name) > 1

    @property
    def unnamed(self) -> str | None:
        """Whose the jobs are that name no account; None if that is not to be told."""
        if len(self.by_name) == 1:
            return next(iter(self.by_name))
        return next((name for name in ("", DEFAULT) if name in self.by_name), None)

    def of(self, name: str) -> Account | None:
        return self.by_name.get(name) or (self.by_name[self.unnamed] if not name and self.unnamed else None)

    def choose(self, asked: str | None) -> str:
        """Return the account that a job is to have. Raise ``InvalidInput``, naming those there are."""
        if asked and asked in self.by_name:
            return asked
        if not asked and self.unnamed is not None:
            return self.unnamed
        names = ", ".join(sorted(filter(None, self.by_name)))
        if not names:
            raise InvalidInput(f"account is not known: this installation has one key; {VARIABLE} makes it several")
        raise InvalidInput(f"account is {'not known' if asked else 'missing'}; the accounts here are {names}")
