"""Who asks, and how much each may ask for: a bucket of tokens for each client."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Sequence

from starlette.types import Scope

CLIENTS_KEPT = 10_000
IPV6_HOME = 64
"""Bits of an IPv6 address that stand for one client: the rest is theirs to change at will."""


def client_of(scope: Scope) -> str:
    """Return who asks: an IPv4 address, the network of an IPv6 address, or ""."""
    peer = scope.get("client")
    return client_at(peer[0] if peer else "")


def client_at(host: str) -> str:
    """Return the client at an address; "" where it is none.

    >>> client_at("::ffff:192.0.2.7"), client_at("2001:db8::1"), client_at("testclient")
    ('192.0.2.7', '2001:db8::/64', '')
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_HOME), strict=False))


class Proxies:
    """The addresses whose word on who asks is taken."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __contains__(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


class Rate:
    """Tokens that come back with time; the least recently seen clients are forgotten.

    A request takes one token before it is read. The rest of what it costs is charged once that is
    known: an account may be overdrawn, and is paid off before the client's next request.

    Args:
        per_second: tokens that come back; twice as many may be saved up. 0: no limit.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._accounts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a token; return the seconds to wait for one instead when there is none."""
        if not self._per_second:
            return 0.0
        balance = self._balance(client)
        if balance > 0:
            self.charge(client, 1)
            return 0.0
        return (1 - balance) / self._per_second

    def charge(self, client: str, tokens: float) -> None:
        """Take tokens, whether they are there or not."""
        if self._per_second:
            self._accounts[client] = (self._balance(client) - tokens, time.monotonic())
            self._accounts.move_to_end(client)
            while len(self._accounts) > CLIENTS_KEPT:
                self._accounts.popitem(last=False)

    def _balance(self, client: str) -> float:
        most, now = 2 * self._per_second, time.monotonic()
        balance, then = self._accounts.get(client, (most, now))
        return min(most, balance + (now - then) * self._per_second)
