"""What the scripts of the ledger know of the Python side, as Lua reads it."""

import math
from collections.abc import Mapping

from workers import bundle, hours, parking, states, work
from workers.nudges import ENTRY_POINT, NudgeTemplate
from workers.outbox import NOTHING, Outbox

LINK_PATIENCE_S = 60.0


def lua_literal(value: object) -> str:
    """Write a value of strings, numbers, booleans, mappings and sequences as Lua source."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float() if math.isfinite(value):
            return repr(value)
        case str():
            return '"' + "".join(map(_lua_byte, value.encode("utf-8", "surrogatepass"))) + '"'
        case Mapping():
            return "{" + ",".join(f"[{lua_literal(k)}]={lua_literal(v)}" for k, v in value.items()) + "}"
        case set() | frozenset():
            return "{" + ",".join(f"[{lua_literal(k)}]=true" for k in sorted(value)) + "}"
        case list() | tuple():
            return "{" + ",".join(lua_literal(item) for item in value) + "}"
    raise TypeError(f"{value!r:.80} has no Lua form")


def _lua_byte(byte: int) -> str:
    # Not JSON's escapes: Lua 5.1 knows no \u and reads it as a plain u.
    sign = chr(byte)
    return sign if sign.isascii() and sign.isprintable() and sign not in '"\\' else f"\\{byte:03d}"


def constants(
    nudges: Mapping[str, NudgeTemplate], *, several: bool = False, outbox: Outbox = NOTHING, frees: bool = False
) -> dict[str, object]:
    return {
        "several": several,
        "frees": frees,
        "targets": outbox.targets,
        "announced": outbox.events,
        "upstream": work.UPSTREAM,
        "files": work.FILES,
        "entry_point": ENTRY_POINT,
        "longest_timeout_s": max(work.STEP_TIMEOUT_S.values()),
        "deliveries": work.DELIVERIES,
        "step_of_job": work.STEP_OF_JOB,
        "step_of_render": work.STEP_OF_RENDER,
        "step_of_ref": work.STEP_OF_REF,
        "step_of_delivery": work.STEP_OF_DELIVERY,
        "class_of_job": work.CLASS_OF_JOB,
        "class_of_step": work.CLASS_OF_STEP,
        "lane_of_class": work.LANE_OF_CLASS,
        "classes": work.CLASSES,
        "lease_ms": round(work.LEASE_S * 1000),
        "deadly_crashes": work.DEADLY_CRASHES,
        "crash_pause_ms": round(work.CRASH_PAUSE_S * 1000),
        "gap_ms": round(work.GAP_S * 1000),
        "went_back_ms": round(work.WENT_BACK_S * 1000),
        "queue_cap": work.QUEUE_CAP,
        "fine_ms": round(work.FINE_S * 1000),
        "timeline_cap": work.TIMELINE_CAP,
        "callbacks_cap": work.CALLBACKS_CAP,
        "pack_after_ms": round(work.PACK_AFTER_S * 1000),
        "restless_ms": round(work.RESTLESS_S * 1000),
        "kept_of_packed": bundle.KEPT,
        "events_cap": work.EVENTS_CAP,
        "hour_kept_s": hours.KEPT_S,
        "shortest_ms": hours.SHORTEST_MS,
        "per_doubling": hours.PER_DOUBLING,
        "last_bucket": hours.LAST_BUCKET,
        "most_groups": parking.MOST_GROUPS,
        "other_group": parking.OTHER,
        "crash_group": parking.CRASHES,
        "link_patience_ms": round(LINK_PATIENCE_S * 1000),
        "job_moves": _moves(states.JOB_MOVES),
        "render_moves": _moves(states.RENDER_MOVES),
        "ref_moves": _moves(states.REF_MOVES),
        "delivery_moves": _moves(states.DELIVERY_MOVES),
        "delivery_settled": states.DELIVERY_SETTLED,
        "shown_ref": states.SHOWN_REF,
        "job_ended": states.JOB_ENDED,
        "job_settled": states.JOB_SETTLED,
        "render_settled": states.RENDER_SETTLED,
        "nudge": {lane: {"data": nudge.data, "fields": _flat(nudge.fields)} for lane, nudge in nudges.items()},
    }


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [word for pair in fields.items() for word in pair]


def _moves(table: Mapping[str, frozenset[str]]) -> str:
    """Give all moves in one text: a run looks for one or two, and a table of them would be made anew for it.

    >>> _moves({"open": frozenset({"shut", "lost"}), "shut": frozenset({"open"})})
    ' open>lost open>shut shut>open '
    """
    return f" {' '.join(f'{old}>{new}' for old, all_new in table.items() for new in sorted(all_new))} "


def told(known: Mapping[str, object]) -> str:
    """Give the table ``C`` of constants. What is a table itself is made when a run asks for it, as most ask for few."""
    plain = {name: value for name, value in known.items() if isinstance(value, str | int | float)}
    tables = made({name: value for name, value in known.items() if name not in plain})
    keep = "function(known, name) local value = made(name) known[name] = value return value end"
    return f"local function made(name)\n{tables}end\nlocal C = setmetatable({lua_literal(plain)}, {{__index = {keep}}})"


def made(known: Mapping[str, object]) -> str:
    """Give the body of a function that makes the value for a ``name``, and no others."""
    return "".join(
        f"  if name == {lua_literal(name)} then return {lua_literal(value)} end\n" for name, value in known.items()
    )
