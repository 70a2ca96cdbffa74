"""Which release this is."""

from importlib import metadata


def version() -> str | None:
    """None for a checkout that is not installed."""
    try:
        return metadata.version("swiftia-receiver")
    except metadata.PackageNotFoundError:
        return None
