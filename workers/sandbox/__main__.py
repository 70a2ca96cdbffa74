"""``python -m workers.sandbox``: the sandbox alone, set by ``SANDBOX_*``."""

import logging
import os
import sys

from workers.errors import InvalidSettings
from workers.sandbox import SandboxConfig, serve


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        config = SandboxConfig.from_env(os.environ)
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    serve(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
