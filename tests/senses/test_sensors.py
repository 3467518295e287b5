"""The machine's own sensors: values there are, and the kernel's reports can be had."""

import asyncio
import socket
import sys

import pytest

from zdeferd.conditions import Power
from zdeferd.senses.present import senses
from zdeferd.senses.sensors import POWER_SUPPLY, MachineSensors


@pytest.mark.asyncio
async def test_the_values_can_be_read() -> None:
    sensors = MachineSensors(asyncio.get_running_loop())
    assert sensors.power() in Power
    assert sensors.online() in (True, False)
    assert sensors.load() >= 0.0
    present = senses(1000.0, 30.0)
    assert present.quiet_since == 970.0
    assert present.power is sensors.power()


@pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")
@pytest.mark.asyncio
async def test_the_kernels_reports_are_listened_to_and_no_longer() -> None:
    sensors = MachineSensors(asyncio.get_running_loop())
    for name in ("power", "online"):
        assert sensors.listen(name, lambda: None)
    sensors.ignore("power")
    sensors.ignore("online")
    sensors.ignore("online")
    assert sensors._sockets == {}


@pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")
@pytest.mark.asyncio
async def test_only_reports_of_power_supplies_concern_the_power() -> None:
    loop = asyncio.get_running_loop()
    sensors, calls = MachineSensors(loop), []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    with ours, theirs:
        for message in (b"change@/x\0SUBSYSTEM=usb\0", b"add@/y\0SUBSYSTEM=block\0"):
            theirs.send(message)
        sensors._read("power", ours, lambda: calls.append("power"))
        assert calls == []
        theirs.send(b"change@/z\0" + POWER_SUPPLY + b"\0")
        theirs.send(b"change@/z\0" + POWER_SUPPLY + b"\0")
        sensors._read("power", ours, lambda: calls.append("power"))
        assert calls == ["power"]
        theirs.send(b"any")
        sensors._read("online", ours, lambda: calls.append("online"))
        assert calls == ["power", "online"]


@pytest.mark.asyncio
async def test_where_no_socket_can_be_had_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    sensors = MachineSensors(asyncio.get_running_loop())
    monkeypatch.setattr(socket, "socket", refused)
    assert not sensors.listen("power", lambda: None)
