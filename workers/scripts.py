"""The ledger's Lua scripts: each is the shared prelude, the constants of the Python side, and its own file."""

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoScriptError

from workers import bundle, hours, keys, parking, states, work
from workers.linking import linked, used_constants
from workers.measures import BOUNDS
from workers.nudges import NudgeTemplate
from workers.outbox import NOTHING, Outbox

LINK_PATIENCE_S = 60.0
# Below the web client's socket timeout, so that the answer is a number of replicas and not an error.
ACK_PATIENCE_MS = 1000
PACKED: Final = "PACKED"
# Written where there may be nothing else to write, so that there is something to wait for.
REPLICATED = f"{keys.PREFIX}replicated"
# A script of the ledger writes nothing about a job that is packed. Wherever it ends, it then tells what it did
# (lua/prelude.lua), and puts down what it has in hand (lua/hand.lua).
_OPENING = "local function main()\n"
_ENDING = f"""
end
local packed = take_up_all()
if packed then return redis.error_reply('{PACKED} ' .. packed) end
local answer = main()
publish()
put_all_down()
return answer
"""


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
        "job_moves": states.JOB_MOVES,
        "render_moves": states.RENDER_MOVES,
        "ref_moves": states.REF_MOVES,
        "delivery_moves": states.DELIVERY_MOVES,
        "delivery_settled": states.DELIVERY_SETTLED,
        "shown_ref": states.SHOWN_REF,
        "job_ended": states.JOB_ENDED,
        "job_settled": states.JOB_SETTLED,
        "render_settled": states.RENDER_SETTLED,
        "nudge": {lane: {"data": nudge.data, "fields": dict(nudge.fields)} for lane, nudge in nudges.items()},
    }


def told(known: Mapping[str, object]) -> str:
    """Give the table ``C`` of constants. What is a table itself is made when a run asks for it, as most ask for few."""
    plain = {name: value for name, value in known.items() if isinstance(value, str | int | float)}
    made = "".join(
        f"  if name == {lua_literal(name)} then return {lua_literal(value)} end\n"
        for name, value in known.items()
        if name not in plain
    )
    keep = "function(known, name) local value = made(name) known[name] = value return value end"
    return f"local function made(name)\n{made}end\nlocal C = setmetatable({lua_literal(plain)}, {{__index = {keep}}})"


def counting(measures: str) -> str:
    """Give the definitions by which a script counts into the hash ``measures``."""
    # In a function: most runs of a script count into no histogram, and should not build these tables.
    bounds = f"local function bounds_of(family) return ({lua_literal(BOUNDS)})[family] end"
    return f"local MEASURES = {lua_literal(measures)}\n{bounds}\n{source('measures')}\n"


def source(name: str) -> str:
    return files("workers").joinpath("lua", f"{name}.lua").read_text()


class Scripts:
    """Runs a script by name with one JSON argument; binary arguments may follow. ``prelude``: what each begins with."""

    def __init__(self, connection: Redis, *, prelude: str = "") -> None:
        self._connection = connection
        self._prelude = prelude
        self._loaded: dict[str, Any] = {}

    def run(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        return self._script(name)(args=[packed(arguments), *binary])

    def run_many(self, name: str, calls: Sequence[tuple[Mapping[str, object], Sequence[bytes]]]) -> list[Any]:
        """Run a script with each of these, in that order and at one go; others may come between."""
        pipeline: Any = self._connection.pipeline(transaction=False)
        script = self._script(name)
        for arguments, binary in calls:
            script(args=[packed(arguments), *binary], client=pipeline)
        answers: list[Any] = pipeline.execute()
        return answers

    def run_replicated(self, replicas: int, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        """Run a script and wait a moment for ``replicas`` replicas; return its answer and how many have the write."""
        script = self._script(name)
        try:
            return self._and_wait(replicas, "EVALSHA", script.sha, 0, packed(arguments), *binary)
        except NoScriptError:
            return self._and_wait(replicas, "EVAL", script.script, 0, packed(arguments), *binary)

    def read(self, *names: str) -> None:
        """Make them ready now, which the first use would do else: a process that forks does it once for all of them."""
        for name in names:
            self._script(name)

    def sha(self, name: str) -> str:
        return str(self._script(name).sha)

    def load(self, name: str) -> None:
        """Make the server know a script, for those who call it by its sha alone."""
        self._connection.script_load(self._script(name).script)

    def _and_wait(self, replicas: int, *command: bytes | str | int) -> tuple[Any, int]:
        """Send all at once: WAIT counts for what came before it on the same connection, and there alone."""
        pipeline: Any = self._connection.pipeline(transaction=False)
        pipeline.execute_command(*command)
        # A repeated script may have nothing to write; without a write WAIT would not look at what the first one wrote.
        pipeline.set(REPLICATED, 1)
        pipeline.wait(replicas, ACK_PATIENCE_MS)
        answers = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer  # the pipeline's own errors quote the command, with the ref in it
        return answers[0], int(answers[2])

    def _script(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._connection.register_script(self.text(name))
        return self._loaded[name]

    def text(self, name: str) -> str:
        """Give all of a script, as the server gets it."""
        return self._prelude + source(name)


class LedgerScripts(Scripts):
    """Those that share ``lua/prelude.lua``. ``several``: accounts.

    ``outbox``: what is announced, and to whom. ``frees``: files at Swiftia are deleted once they are kept here.
    """

    def __init__(
        self,
        connection: Redis,
        nudges: Mapping[str, NudgeTemplate],
        *,
        several: bool = False,
        outbox: Outbox = NOTHING,
        frees: bool = False,
    ) -> None:
        super().__init__(connection)
        self._known = constants(nudges, several=several, outbox=outbox, frees=frees)
        self._library = "\n".join((counting(keys.MEASURES), *map(source, ("hand", "prelude", "rest"))))

    def text(self, name: str) -> str:
        """Give a script with those of the definitions and constants that it uses, and no others (``linking``)."""
        own = _OPENING + source(name) + _ENDING
        text = linked(self._library, own) + own
        known = told(used_constants(self._known, text))
        return f"{known}\nlocal a = cjson.decode(ARGV[1])\n{text}"


def packed(arguments: Mapping[str, object]) -> bytes:
    """What a script is given as its one argument."""
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
