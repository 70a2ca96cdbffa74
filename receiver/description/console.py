"""The routes of the console. They are for people alone, so no part of the API and not in ``/openapi.json``."""

from dataclasses import dataclass
from typing import Final

from receiver.description.routes import shown


@dataclass(frozen=True, slots=True)
class Screen:
    """``path`` as that of a ``Route``."""

    method: str
    path: str

    @property
    def shown(self) -> str:
        return shown(self.method, self.path)


SCREENS: Final = (
    Screen("GET", "/"),
    Screen("GET", "/jobs"),
    Screen("GET", "/jobs/{name}"),
    Screen("GET", "/jobs/{name}/result"),
    Screen("GET", "/jobs/{name}/callbacks/{receipt}"),
    Screen("GET", "/jobs/{name}/retry"),
    Screen("POST", "/jobs/{name}/retry"),
    Screen("GET", "/jobs/{name}/erase"),
    Screen("POST", "/jobs/{name}/erase"),
    Screen("GET", "/jobs/{name}/deliveries/{n}/retry"),
    Screen("POST", "/jobs/{name}/deliveries/{n}/retry"),
    Screen("GET", "/sign-in"),
    Screen("POST", "/sign-in"),
    Screen("POST", "/sign-out"),
    Screen("GET", "/parked"),
    Screen("GET", "/parked/retry"),
    Screen("POST", "/parked/retry"),
    Screen("GET", "/submit"),
    Screen("POST", "/submit"),
    Screen("POST", "/submit/send"),
    Screen("GET", "/check"),
    Screen("POST", "/check"),
    Screen("GET", "/workers"),
    Screen("GET", "/assets/{version}/{file}"),
)
