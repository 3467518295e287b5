"""The one seam to the machine for conditions: reads its values, and listens to their changes.

Linux reports changes of power supplies as uevents, and changes of links and routes over
rtnetlink; both are sockets that any user may open (netlink(7)). They are open only while a run
waits for their value. Where a socket cannot be opened, and elsewhere, `listen` says so, and the
value is looked at again after a while.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Protocol

from ..conditions import Power
from .network import online
from .power import power

UEVENTS, UEVENTS_OF_THE_KERNEL = 15, 1
"""NETLINK_KOBJECT_UEVENT and its group: <linux/netlink.h>."""
ROUTE, LINKS_AND_ROUTES = 0, 0x1 | 0x40 | 0x400
"""NETLINK_ROUTE; RTMGRP_LINK, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE: <linux/rtnetlink.h>."""
SOCKETS = {"power": (UEVENTS, UEVENTS_OF_THE_KERNEL), "online": (ROUTE, LINKS_AND_ROUTES)}
POWER_SUPPLY = b"SUBSYSTEM=power_supply"
MESSAGE_BYTES = 1 << 16
MOST_AT_ONCE = 256
"""Messages that one call takes in; the loop calls again where more are left."""


class Sensors(Protocol):
    """The readings that conditions need of the machine."""

    def power(self) -> Power:
        """Return where the power comes from now."""

    def online(self) -> bool:
        """Return whether there is a network now."""

    def load(self) -> float:
        """Return the load average of one minute."""

    def listen(self, name: str, changed: Callable[[], None]) -> bool:
        """Call `changed` whenever `power` or `online` may differ; False: that is not reported."""

    def ignore(self, name: str) -> None:
        """End what `listen` began."""


class MachineSensors:
    """The sensors of this machine."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sockets: dict[str, socket.socket] = {}

    def power(self) -> Power:
        """Return where the power comes from now."""
        return power()

    def online(self) -> bool:
        """Return whether there is a network now."""
        return online()

    def load(self) -> float:
        """Return the load average of one minute."""
        return os.getloadavg()[0]

    def listen(self, name: str, changed: Callable[[], None]) -> bool:
        """Call `changed` whenever `power` or `online` may differ; False: that is not reported."""
        if sys.platform != "linux":
            return False
        protocol, groups = SOCKETS[name]
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            peer = socket.socket(socket.AF_NETLINK, kind, protocol)
        except OSError:
            return False
        try:
            peer.bind((0, groups))
        except OSError:
            peer.close()
            return False
        self._sockets[name] = peer
        self._loop.add_reader(peer.fileno(), self._read, name, peer, changed)
        return True

    def ignore(self, name: str) -> None:
        """End what `listen` began."""
        peer = self._sockets.pop(name, None)
        if peer is not None:
            self._loop.remove_reader(peer.fileno())
            peer.close()

    def _read(self, name: str, peer: socket.socket, changed: Callable[[], None]) -> None:
        """Take in what is there; call once, where any of it concerns `name`."""
        concerns = False
        for _ in range(MOST_AT_ONCE):
            try:
                message = peer.recv(MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: messages were lost
                message = POWER_SUPPLY
            concerns |= name != "power" or POWER_SUPPLY in message
        if concerns:
            changed()
