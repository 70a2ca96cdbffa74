"""The function in the team's own image that is called in place of a target on the network."""

import importlib
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from workers.destinations import Handler
from workers.errors import InvalidSettings

GROUP: Final = "swiftia_receiver.handlers"
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def handler_name(chosen: str) -> str:
    """Return which handler is meant: ``HANDLER``, else the one that is installed, else "". Imports nothing of theirs.

    Raise ``InvalidSettings`` where several are installed and none is chosen, or the chosen one is none of them.
    """
    installed = sorted(entry.name for entry in entry_points(group=GROUP))
    if not chosen and len(installed) > 1:
        raise InvalidSettings([f"several handlers are installed ({', '.join(installed)}); name one by HANDLER"])
    if not chosen:
        return installed[0] if installed else ""
    if chosen not in installed and _PATH.fullmatch(chosen) is None:
        known = f"; installed are {', '.join(installed)}" if installed else ""
        raise InvalidSettings([f"HANDLER={chosen[:80]!r} is neither package.module:function nor installed{known}"])
    return chosen


def load_handler(name: str) -> Handler:
    """Import it. Raise ``InvalidSettings`` with what went wrong."""
    try:
        found = _entry(name)
    except Exception as error:
        raise InvalidSettings([f"HANDLER {name!r} cannot be imported: {type(error).__name__}: {error}"]) from error
    if not callable(found):
        raise InvalidSettings([f"HANDLER {name!r} is no function but a {type(found).__name__}"])
    return cast("Handler", found)


def _entry(name: str) -> object:
    installed = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if installed:
        return installed[0].load()
    module, _, _ = name.partition(":")
    importlib.import_module(module)
    return EntryPoint("", name, GROUP).load()
