"""Online: a default route over an interface that is up."""

import sys
from pathlib import Path

import pytest

from zdeferd.senses.network import online

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t010200C0\t{flags}\t0\t0\t0\t00000000\t0\t0\t0\n"
LOCAL = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
ANY, NO_MASK = "0" * 32, "00"
SIX = "{to} {length} " + f"{ANY} 00 {ANY} " + "00000400 00000003 00000000 {flags} {name:>8}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tables of routes are Linux's")
@pytest.mark.parametrize(
    ("routes", "routes_6", "expected"),
    [
        (HEAD, "", False),
        (HEAD + LOCAL, "", False),
        (HEAD + LOCAL + DEFAULT.format(flags="0003"), "", True),
        (HEAD + DEFAULT.format(flags="0002"), "", False),
        (HEAD + DEFAULT.format(flags="0201"), "", False),
        ("", SIX.format(to=ANY, length="00", flags="00000003", name="eth0"), True),
        ("", SIX.format(to=ANY, length="00", flags="00200200", name="lo"), False),
        ("", SIX.format(to="fe80" + "0" * 28, length="40", flags="00000001", name="eth0"), False),
        ("short\n", "0 0\n", False),
    ],
)
def test_a_default_route_counts(tmp_path: Path, routes: str, routes_6: str, expected: bool) -> None:
    (tmp_path / "route").write_text(routes)
    (tmp_path / "route6").write_text(routes_6)
    assert online(str(tmp_path / "route"), str(tmp_path / "route6")) is expected


def test_without_the_tables_there_is_no_network(tmp_path: Path) -> None:
    if sys.platform == "linux":
        assert online(str(tmp_path / "a"), str(tmp_path / "b")) is False
