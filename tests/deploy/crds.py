"""Read the objects of KEDA and of the Prometheus operator by their published models (requirements/deploy.txt).

Takes objects as JSON on its input, and names each field that the models do not know or do not take.
"""

import json
import sys
from collections.abc import Iterator

from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from pydantic import ValidationError

MODELS = {"ScaledObject": ScaledObject, "ServiceMonitor": ServiceMonitor}


def lost(given: object, taken: object, where: str) -> Iterator[str]:
    """Yield what a model left out, as it leaves out what it does not know."""
    if isinstance(given, dict):
        for name, value in given.items():
            if not isinstance(taken, dict) or name not in taken:
                yield f"{where}.{name} is not known"
            else:
                yield from lost(value, taken[name], f"{where}.{name}")
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from lost(value, taken[number], f"{where}[{number}]")


def problems(document: dict[str, object]) -> Iterator[str]:
    kind = str(document["kind"])
    try:
        read = MODELS[kind].model_validate(document)
    except ValidationError as error:
        yield f"{kind}: {error}"
        return
    yield from lost(document, read.model_dump(mode="json", by_alias=True, exclude_unset=True), kind)


if __name__ == "__main__":
    sys.stdout.writelines(f"{one}\n" for document in json.load(sys.stdin) for one in problems(document))
