"""What the exit code of a command says. The text of ``--help`` and the codes come from here."""

from typing import Final

from workers.errors import AlreadyRunning, InvalidSettings, PermanentError, ServiceError, TemporaryError

OK: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2
TAKEN: Final = 3
UNREACHABLE: Final = 4
INTERRUPTED: Final = 130

EXPLAINED: Final = """\b
Exit codes:
    0  done
    1  it did not work out: a job failed or was parked, a check is bad, a request was refused
    2  the command line or the settings cannot be used
    3  the data directory or a port is taken by another process
    4  the running service cannot be reached
  130  interrupted
"""


class NotRunning(TemporaryError):
    """Nothing answers where the service should be."""


class PortTaken(PermanentError): ...


def exit_code(error: ServiceError) -> int:
    match error:
        case InvalidSettings():
            return UNUSABLE
        case AlreadyRunning() | PortTaken():
            return TAKEN
        case NotRunning():
            return UNREACHABLE
        case _:
            return FAILED
