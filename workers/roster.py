"""The organizations to work for, read from the files that the settings name."""

from pathlib import Path

from workers.accountfile import joined, read_accounts
from workers.accounts import VARIABLE, Account, Accounts
from workers.errors import InvalidInput, InvalidSettings
from workers.rules import Rules, read_rules
from workers.settings import Settings


def read_all(settings: Settings) -> Accounts:
    """Read the organizations to work for. Raise ``InvalidSettings`` with everything that is wrong about them."""
    rules, key = _rules(settings.render_rules), settings.swiftia_api_key
    own = Account("", key, settings.rate_limit, settings.swiftia_base_url, rules)
    path = settings.swiftia_accounts
    if path is None:
        return Accounts({"": own})

    def read_file(name: str) -> str:
        try:
            return (path.parent / name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise InvalidInput(f"{name[:200]!r} cannot be read: {reason}") from None

    text = _text(path, VARIABLE)
    named = read_accounts(text, base_url=settings.swiftia_base_url, rules=rules, read_file=read_file)
    return Accounts(named if key is None else joined(own, named))


def _rules(path: Path | None) -> Rules:
    return {} if path is None else read_rules(_text(path, "RENDER_RULES"))


def _text(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings([f"{variable}={str(path)!r} cannot be read: {error}"]) from None
