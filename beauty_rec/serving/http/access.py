"""Who may ask what. The route that answers decides, never the text of the path."""

import hmac
from collections.abc import Mapping

from pydantic import SecretStr
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from beauty_rec.serving.http.problems import Refused

KEY = "x-api-key"
PROBES = frozenset({"healthz", "readyz"})
"""Routes that a load balancer asks: nobody is too fast for them."""
OPEN = PROBES | {"page", "assets", "openapi"}
"""Names of the routes that need no key anywhere."""
READS = frozenset(
    {
        *("recommend", "recommend_batch", "search", "feed", "item", "similar", "facets"),
        *("sample_users", "version", "metrics"),
    }
)
"""Names of the routes that need no key on this machine's own address. Every other one needs it."""


def route_of(scope: Scope) -> tuple[BaseRoute | None, list[str]]:
    """Return the route that answers a request, else None and the methods that would be answered."""
    methods: set[str] = set()
    for route in scope["app"].routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route, []
        if match is Match.PARTIAL:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    return None, sorted(methods)


class Keys:
    """Holds requests against the API key."""

    def __init__(self, key: SecretStr | None, *, is_own: bool) -> None:
        self._key = key.get_secret_value().encode() if key is not None else None
        self._is_own = is_own

    def check(self, name: str, headers: Mapping[bytes, bytes]) -> None:
        """Let a request to the route of this name pass; "" where no route answers.

        Raises:
            Refused: the key is needed and not sent, or none is set.
        """
        if name in OPEN or (self._is_own and (name in READS or not name)):
            return
        if self._key is None:
            raise Refused(403, "no key is set: set serve.api_key, then send it as X-API-Key")
        sent = headers.get(KEY.encode()) or _bearer(headers.get(b"authorization", b""))
        if not sent:
            raise Refused(
                401,
                "send the API key as X-API-Key, or as Authorization: Bearer",
                WWW_Authenticate="Bearer",
            )
        if not hmac.compare_digest(sent, self._key):
            raise Refused(401, "that is not the API key", WWW_Authenticate="Bearer")


def _bearer(header: bytes) -> bytes:
    scheme, _, token = header.strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
