"""Everything that can go wrong, by the one question a caller has: can trying again help?

    ServiceError
    ├── TemporaryError            trying again, later, can help
    │   ├── UpstreamUnavailable   Swiftia answered 5xx, cut the connection, or did not answer in time
    │   ├── RateLimited           Swiftia answered 429; ``retry_after`` says how long to stay away
    │   ├── CredentialsRefused    Swiftia refuses the API key; helps as soon as a person mends the key
    │   │   └── AccountMissing    a job's account is not in SWIFTIA_ACCOUNTS; helps as soon as it is there again
    │   ├── UnreadableAnswer      Swiftia answered 2xx with something that cannot be read
    │   ├── DownloadFailed        a file's server failed, or sent fewer or other bytes than announced
    │   │   ├── RangeRefused      it will not, or not provably, send the rest of what is there already
    │   │   └── WrongFile         its file has another size than Swiftia stated
    │   ├── StoreUnavailable      the artifact store cannot be written or read
    │   │   └── StoreFull         no room is left where files are written; no fault of what was to be written
    │   ├── Busy                  the request budget has nothing left for now; ``retry_after`` says when to come again
    │   ├── Crowded               too many read files or listen here already
    │   ├── LedgerUnavailable     Redis did not take the write
    │   └── SpoolUnavailable      the spool is full, or its disk fails
    └── PermanentError            trying again with the same input ends the same way
        ├── InvalidInput          bytes from outside that are not what they must be
        ├── Unauthorized          a token or signature does not fit
        ├── TooLarge              more bytes than the stated limit
        ├── InvalidSettings       the environment cannot be used; lists every problem
        ├── UpstreamRefused       Swiftia answered 4xx and will do so again
        ├── TargetRefused         an address that must not be connected to
        ├── NotFound              nothing here under that id
        ├── Conflict              the state does not allow it
        └── AlreadyRunning        another server holds the data directory

Errors know nothing of HTTP answers of ours; ``receiver/problems.py`` has the one table.
"""


class ServiceError(Exception):
    """Base of all. ``message`` names the cause and the fix; ``values`` ride beside it for logs and problems."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.values = values


class TemporaryError(ServiceError):
    """``retry_after``: seconds that the other side asked us to wait, if it said so."""

    def __init__(self, message: str, *, retry_after: float | None = None, **values: object) -> None:
        super().__init__(message, **values)
        self.retry_after = retry_after


class UpstreamUnavailable(TemporaryError):
    """``sent``: whether the request may have reached Swiftia and taken effect there."""

    def __init__(self, message: str, *, sent: bool, retry_after: float | None = None, **values: object) -> None:
        super().__init__(message, retry_after=retry_after, **values)
        self.sent = sent


class RateLimited(TemporaryError): ...


class CredentialsRefused(TemporaryError): ...


class AccountMissing(CredentialsRefused): ...


class UnreadableAnswer(TemporaryError): ...


class DownloadFailed(TemporaryError): ...


class RangeRefused(DownloadFailed): ...


class WrongFile(DownloadFailed): ...


class StoreUnavailable(TemporaryError): ...


class StoreFull(StoreUnavailable): ...


class Busy(TemporaryError): ...


class Crowded(TemporaryError): ...


class LedgerUnavailable(TemporaryError): ...


class SpoolUnavailable(TemporaryError): ...


class PermanentError(ServiceError): ...


class InvalidInput(PermanentError): ...


class Unauthorized(PermanentError): ...


class TooLarge(PermanentError): ...


class InvalidSettings(PermanentError):
    def __init__(self, problems: list[str]) -> None:
        super().__init__("the settings cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = problems


class UpstreamRefused(PermanentError):
    """``status``: the HTTP status. ``kind``: one of ``bad-request``, ``not-found``, ``storage-full``,
    ``phone-verification``, ``no-credit``, ``forbidden``, ``refused``.
    """

    def __init__(self, message: str, *, status: int, kind: str, **values: object) -> None:
        super().__init__(message, **values)
        self.status = status
        self.kind = kind


class TargetRefused(PermanentError): ...


class NotFound(PermanentError): ...


class Conflict(PermanentError): ...


class AlreadyRunning(PermanentError): ...
