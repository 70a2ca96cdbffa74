"""Of a library in Lua, what one script uses: Redis makes each function and each table of it anew in every run.

For ``accept`` that was a third of its time. A library is a list of ``local`` definitions that begin at the margin, each
of which knows those above it.
"""

import itertools
import re
from collections.abc import Mapping

_DEFINITION = re.compile(r"^local (?:function (\w+)|([\w, ]+))", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


def linked(library: str, script: str) -> str:
    """Give those definitions that the script, or another one that it uses, names. Comments are left out."""
    used = set(_WORD.findall(_COMMENT.sub("", script)))
    kept = []
    for definition in reversed(_definitions(_COMMENT.sub("", library))):
        if _names(definition) & used:
            used.update(_WORD.findall(definition))
            kept.append(definition)
    return "".join(reversed(kept))


def used_constants(known: Mapping[str, object], text: str) -> dict[str, object]:
    """Of what the table ``C`` may hold, what the text asks it for."""
    asked = set(re.findall(r"\bC\.(\w+)", text))
    return {name: value for name, value in known.items() if name in asked}


def _definitions(library: str) -> list[str]:
    starts = [found.start() for found in _DEFINITION.finditer(library)]
    return [library[start:end] for start, end in itertools.pairwise([*starts, len(library)])]


def _names(definition: str) -> set[str]:
    found = _DEFINITION.match(definition)
    return set(_WORD.findall(found[1] or found[2])) if found else set()
