"""The ledger's Lua scripts: each is the shared prelude, the constants of the Python side, and its own file."""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoScriptError

from workers import keys
from workers.constants import constants, lua_literal, made, told
from workers.linking import linked, used_constants
from workers.measures import BOUNDS
from workers.nudges import NudgeTemplate
from workers.outbox import NOTHING, Outbox
from workers.steady import Later, SteadyRedis

# Below the web client's socket timeout, so that the answer is a number of replicas and not an error.
ACK_PATIENCE_MS = 1000
PACKED: Final = "PACKED"
# Written where there may be nothing else to write, so that there is something to wait for.
REPLICATED = f"{keys.PREFIX}replicated"
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
NONE: Final[Mapping[str, object]] = {}
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


def counting(measures: str) -> str:
    """Give the definitions by which a script counts into the hash ``measures``."""
    # Made when they are asked for: most runs of a script count into no histogram, and the others into one or two.
    bounds = f"local function bounds_of(name)\n{made(BOUNDS)}end"
    return f"local MEASURES = {lua_literal(measures)}\n{bounds}\n{source('measures')}\n"


def source(name: str) -> str:
    return files("workers").joinpath("lua", f"{name}.lua").read_text()


class Scripts:
    """Runs a script by name with one JSON argument; binary arguments may follow.

    ``known``: what the table ``C`` may hold; ``library``: what a script may use. Each gets what it names (``linking``).
    """

    def __init__(self, connection: Redis, *, known: Mapping[str, object] = NONE, library: str = "") -> None:
        self._connection = connection
        self._known = known
        self._library = library
        self._loaded: dict[str, Any] = {}

    def run(self, name: str, arguments: Mapping[str, object], *binary: bytes) -> Any:
        script = self._script(name)
        given = packed(arguments), *binary
        try:
            return self._connection.evalsha(script.sha, 0, *given)
        except NoScriptError:
            return self._connection.eval(script.script, 0, *given)

    def run_later(
        self,
        name: str,
        arguments: Callable[[], Mapping[str, object]],
        heard: Callable[[Any], object],
        again: Callable[[], object],
    ) -> None:
        """Run a script with the next one of this thread, where its client can do that, else now. See ``Later``."""
        if not isinstance(self._connection, SteadyRedis):
            again()
            return
        sha = self._script(name).sha
        self._connection.later(Later(lambda: ("EVALSHA", sha, 0, packed(arguments())), heard, again))

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
        own = source(name)
        text = linked(self._library, own) + own
        return f"local C = {lua_literal(used_constants(self._known, text))}\n{text}" if self._known else text


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
        library = "\n".join((counting(keys.MEASURES), *map(source, ("hand", "prelude", "rest"))))
        known = constants(nudges, several=several, outbox=outbox, frees=frees)
        super().__init__(connection, known=known, library=library)

    def text(self, name: str) -> str:
        own = _OPENING + source(name) + _ENDING
        text = linked(self._library, own) + own
        known = told(used_constants(self._known, text))
        return f"{known}\nlocal a = cjson.decode(ARGV[1])\n{text}"


def packed(arguments: Mapping[str, object]) -> bytes:
    """What a script is given as its one argument."""
    return _JSON.encode(arguments).encode("utf-8", "surrogatepass")
