"""What the console does not let anybody do. ``receiver/problems.py`` has their statuses."""

from workers.errors import PermanentError, TemporaryError


class ReadOnly(PermanentError):
    """Who asks may look, and change nothing."""


class FormRefused(PermanentError):
    """A form that does not come from a page of ours, or from one of another session."""


class TooManyTries(TemporaryError):
    """Somebody tries out tokens."""
