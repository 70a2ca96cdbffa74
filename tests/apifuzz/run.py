"""One run of schemathesis over all of the API, the door too, with every check."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.apifuzz.ground import ADMIN, ROOT, Ground

_HERE = Path(__file__).parent
# Shapes that are open by intent: their other members depend on what they tell of.
_OPEN = {"Problem", "Event", "Order"}


@dataclass(frozen=True)
class Fuzzed:
    """``idle``: routes that refused whatever they were asked, so that little was tried."""

    code: int
    told: str
    idle: set[str]


def fuzz(ground: Ground, folder: Path, *options: str) -> Fuzzed:
    with httpx2.Client(base_url=ground.url, headers={"Authorization": f"Bearer {ADMIN}"}, trust_env=False) as http:
        described = http.get("/openapi.json").json()
        cursor = http.get("/api/jobs", params={"limit": 1}).json()["next"]
    answered = folder / "answered"
    answered.mkdir()
    path = folder / "openapi.json"
    path.write_text(json.dumps(closed(described)))
    command = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        _HERE / "schemathesis.toml",
        "run",
        path,
    ]
    asked = ["--url", ground.url, "--header", f"Authorization: Bearer {ADMIN}", "--no-color"]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.apifuzz.hooks",
        "FUZZ_TOKENS": ",".join(ground.tokens),
        "FUZZ_CURSOR": cursor,
        "FUZZ_ANSWERED": str(answered),
    }
    done = subprocess.run(  # noqa: S603 - the tool of this environment
        [*command, *asked, *options],
        env=env,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    known = {operation["operationId"] for methods in described["paths"].values() for operation in methods.values()}
    return Fuzzed(done.returncode, done.stdout, known - {file.name for file in answered.iterdir()})


def closed(described: dict[str, Any]) -> dict[str, Any]:
    """The description in which an answer's members are those that are described, and no others."""
    shapes = described["components"]["schemas"]
    return {
        **described,
        "components": {
            **described["components"],
            "schemas": {name: shape if name in _OPEN else _close(shape) for name, shape in shapes.items()},
        },
    }


def _close(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_close(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _close(inner) for name, inner in schema.items()}
    if "required" in schema and "properties" in schema:
        found.setdefault("additionalProperties", False)
    return found
