"""What goes wrong on the wire, drawn anew for every request."""

from dataclasses import dataclass

from workers.sandbox.chance import Chance
from workers.sandbox.config import SandboxConfig
from workers.sandbox.fields import names


@dataclass(frozen=True, slots=True)
class Fault:
    """``kind``: ``5xx``, ``html``, ``reset`` or ``cut``. ``after``: it strikes when the request has taken effect."""

    kind: str
    after: bool


def strikes(config: SandboxConfig, route: str) -> bool:
    """Whether faults are wanted on this route at all."""
    wanted = names(config.fault_routes)
    return not wanted or route in wanted


def draw_fault(config: SandboxConfig, chance: Chance) -> Fault | None:
    lot = chance.draw()
    fractions = {"5xx": config.server_errors, "html": config.html, "reset": config.resets, "cut": config.cuts}
    for kind, fraction in fractions.items():
        if lot < fraction:
            # An answer can only be cut once there is one.
            return Fault(kind, after=kind == "cut" or _after(config.fault_effect, kind, chance))
        lot -= fraction
    return None


def _after(when: str, kind: str, chance: Chance) -> bool:
    return chance.turn(kind, (False, True)) if when == "both" else when == "after"
