"""Who may ask what. The route that answers decides, never the text of the path."""

import hmac
from collections.abc import Mapping
from typing import NamedTuple

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
        *("sample_users", "version", "metrics", "shops"),
    }
)
"""Names of the routes that need no key on this machine's own address. Every other one needs it."""


class Found(NamedTuple):
    """What a request is for.

    Attributes:
        route: that answers it; None where none does.
        allowed: the methods that would be answered, where it is the method that is wrong.
        shop: that the route's path names, as the route has it; None where it names none.
    """

    route: BaseRoute | None
    allowed: list[str]
    shop: str | None = None

    @property
    def name(self) -> str:
        """The route's name; "" where no route answers."""
        return getattr(self.route, "name", "")

    @property
    def path(self) -> str:
        """The route's path, with ``{names}`` in it; ``none`` where no route answers."""
        route = self.route
        return getattr(route, "path_format", None) or getattr(route, "path", None) or "none"


def route_of(scope: Scope) -> Found:
    """Return the route that answers a request."""
    methods: set[str] = set()
    for route in scope["app"].routes:
        match, found = route.matches(scope)
        if match is Match.FULL:
            return Found(route, [], found.get("path_params", {}).get("shop"))
        if match is Match.PARTIAL:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    return Found(None, sorted(methods))


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
