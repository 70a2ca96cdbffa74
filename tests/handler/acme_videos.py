"""Writes down which videos are ready."""

import json
import os
from pathlib import Path

from workers.events import Event


def on_event(event: Event) -> None:
    if event.type == "render.kept":
        ready = {"id": event.id, "customer": event.metadata["customer"], "file": event.data["render"]["file"]}
        with Path(os.environ["ACME_READY"]).open("a", encoding="utf-8") as log:
            log.write(json.dumps(ready) + "\n")
