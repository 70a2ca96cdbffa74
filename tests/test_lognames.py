"""The list of logged events is whole, and holds none that nobody logs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from workers.lognames import EVENTS

ROOT = Path(__file__).parent.parent
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
# It is a stranger, and writes as libraries do.
NOT_OURS = ROOT / "workers" / "sandbox"


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of a logger of ours, by where it stands."""
    for path in sorted([*ROOT.glob("receiver/**/*.py"), *ROOT.glob("workers/**/*.py")]):
        if NOT_OURS in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and is_log(node.func):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def is_log(function: ast.expr) -> bool:
    match function:
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=attr):
            return attr in LEVELS and owner.lower().strip("_") == "log"
        case ast.Name(id="log"):
            return True
    return False


def names(call: ast.Call) -> list[str]:
    """The events that a call can log; nothing if they are not constant."""
    match call.args:
        case [ast.Constant(value=str(name))]:
            return [name]
        case [ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other)))]:
            return [one, other]
    return []


def test_every_event_has_a_constant_name():
    assert [where for where, call in calls() if not names(call)] == []


def test_what_is_logged_and_what_is_listed_are_the_same():
    assert {name for _, call in calls() for name in names(call)} == EVENTS.keys()


def test_names_are_well_formed():
    assert [name for name in EVENTS if not re.fullmatch(r"[a-z]+\.[a-z_]+", name)] == []


def test_the_guide_lists_them():
    guide = (ROOT / "deploy" / "observing.md").read_text()
    assert dict(re.findall(r"(?m)^\| `([a-z]+\.[a-z_]+)` \| (.+) \|$", guide)) == EVENTS
