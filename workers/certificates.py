"""Whom to trust with TLS."""

import ssl
from functools import cache

import httpcore2


@cache
def certificates() -> ssl.SSLContext:
    """Return those of the machine, or of ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``.

    Read once for a process, as that takes longer than everything else at a start.
    """
    return httpcore2.default_ssl_context()
