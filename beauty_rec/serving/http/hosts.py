"""For which host a request is, and which hosts this machine alone reaches."""

import ipaddress
import re
from urllib.parse import unquote

from starlette.types import Scope


def is_own(host: str) -> bool:
    """Whether an address to bind to is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """Return a Host header without its port and brackets, as names are compared."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return host if port and not port.startswith(":") else name
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    return name.lower().removesuffix(".")


def origin_form(scope: Scope) -> Scope:
    """Return a scope in which the path is one: a proxy may send the whole address in its place.

    The address says for whom a request is, whatever its Host header says (RFC 9112, 3.2.2).
    """
    raw: bytes = scope.get("raw_path") or b""
    address = re.match(rb"https?://([^/]*)", raw, re.IGNORECASE)
    if address is None:
        return scope
    rest = raw[address.end() :] or b"/"
    others = [each for each in scope["headers"] if each[0].lower() != b"host"]
    return {
        **scope,
        "path": unquote(rest.decode("latin-1")),
        "raw_path": rest,
        "headers": [(b"host", address[1]), *others],
    }
