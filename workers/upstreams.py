"""The way to Swiftia of each account: its client, its budget and its rules, connected once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workers.accounts import DEFAULT, VARIABLE, Account, Accounts
from workers.budget import Budget
from workers.errors import AccountMissing
from workers.rules import Rules
from workers.swiftia import Swiftia


@dataclass(frozen=True, slots=True)
class Upstream:
    """``account``: its name; empty for that of SWIFTIA_API_KEY."""

    account: str
    swiftia: Swiftia
    budget: Budget
    rules: Rules


class Upstreams:
    """``accounts``: which there are. ``connect``: makes the way of one."""

    def __init__(self, accounts: Accounts, connect: Callable[[Account], Upstream]) -> None:
        self.accounts = accounts
        self._ways = {name: connect(account) for name, account in accounts.by_name.items()}

    def of(self, account: str) -> Upstream:
        """Raise ``AccountMissing``. A job that names no account is the unnamed one's."""
        found = self.accounts.of(account)
        if found is None:
            named = f"the account {account} is" if account else "a job names no account, and which is meant is"
            raise AccountMissing(f"{named} not told by {VARIABLE}; add it there, and its jobs go on")
        return self._ways[found.name]

    @property
    def shown(self) -> Mapping[str, Upstream]:
        """Each way under the name that people read: the account of SWIFTIA_API_KEY, which has none, is the default."""
        return {name or DEFAULT: way for name, way in self._ways.items()}

    @property
    def first(self) -> str:
        """The shown name of the account of jobs that name none; where they have none, the first in the file."""
        unnamed = self.accounts.unnamed
        return next(iter(self._ways)) if unnamed is None else unnamed or DEFAULT

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """The budget of each account, by the name that its jobs have: nothing, where they have none."""
        found = {name: way.budget for name, way in self._ways.items()}
        return found if self.accounts.of("") is None else {"": self.of("").budget, **found}
