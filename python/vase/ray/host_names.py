"""By which names this server may be asked when it has no keys (docs/server.md, Security: DNS rebinding)."""

from __future__ import annotations

import ipaddress
from collections.abc import Container
from urllib.parse import urlsplit


def is_known(header: str | None, allowed: Container[str]) -> bool:
    """Whether a Host header names this server: localhost, an address, which no page can have resolve elsewhere, or one of `allowed`
    ("*": any). A client that sends none is no browser."""
    if header is None or "*" in allowed:
        return True
    try:
        host = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        if host == "localhost" or host in allowed:
            return True
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:  # not even a name; not an address
        return False
    return True
