"""``make api-fuzz``: schemathesis over all of the API for as long as ARGS say (``--max-time 300``), then exit code 1
for any finding. Other options of ``schemathesis run`` may follow: ``ARGS="--seed 7 --include-operation-id listJobs"``.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

from tests.apifuzz.ground import ground
from tests.apifuzz.run import fuzz
from workers.valkey import EmbeddedValkey


def main(options: list[str]) -> int:
    folder = Path(tempfile.mkdtemp(prefix="api-fuzz-"))
    server = EmbeddedValkey(folder / "valkey")
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        found = fuzz(stack.enter_context(ground(folder, server.url)), folder, *(options or ["--max-time", "300"]))
    sys.stdout.write(found.told)
    sys.stdout.write(f"routes that refused whatever they were asked: {', '.join(sorted(found.idle)) or 'none'}\n")
    sys.stdout.write(f"the log of the service: {folder / 'web.log'}\n")
    return found.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
