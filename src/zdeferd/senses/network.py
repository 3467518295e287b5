"""Detects whether the machine has a way out: an interface that is up, and a default route over it.

Nothing is sent: a connection may still fail. Linux reads the kernel's two routing tables;
elsewhere an interface counts that is up, is no loopback, and has an address that is not local to
its link.
"""

import sys

ROUTES = "/proc/net/route"
ROUTES_6 = "/proc/net/ipv6_route"
UP, REJECT = 0x1, 0x200
"""Flags of a route: <linux/route.h>."""
_ANY_6 = "0" * 32


def online(routes: str = ROUTES, routes_6: str = ROUTES_6) -> bool:
    """Return whether there is a default route."""
    if sys.platform != "linux":
        return _by_psutil()
    return any(map(_leads_out, _rows(routes))) or any(map(_leads_out_6, _rows(routes_6)))


def _leads_out(row: list[str]) -> bool:
    return len(row) > 7 and row[1] == row[7] == "00000000" and _usable(row[0], row[3])


def _leads_out_6(row: list[str]) -> bool:
    return len(row) > 9 and row[0] == _ANY_6 and row[1] == "00" and _usable(row[9], row[8])


def _usable(interface: str, flags: str) -> bool:
    return interface != "lo" and int(flags, 16) & UP != 0 and not int(flags, 16) & REJECT


def _rows(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return [row for line in file if (row := line.split()) and row[0] != "Iface"]
    except OSError:
        return []


def _by_psutil() -> bool:
    import ipaddress
    import socket

    import psutil

    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    kinds = (socket.AF_INET, socket.AF_INET6)
    addresses = (
        ipaddress.ip_address(one.address.partition("%")[0])
        for name, found in psutil.net_if_addrs().items()
        for one in found
        if name in up and one.family in kinds
    )
    return any(not (one.is_loopback or one.is_link_local) for one in addresses)
