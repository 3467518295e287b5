"""The identifier of the boot, on each platform."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zdeferd.errors import ZdeferdError
from zdeferd.machine import boot


@pytest.fixture
def sysctl(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Answers of a macOS sysctl(8) by name; this process then takes itself for one there."""
    answers: dict[str, str] = {}

    def run(asked: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(asked, 0, answers.get(asked[-1], ""))

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", run)
    return answers


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's file is Linux's")
def test_linux_has_it_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "boot_id"
    file.write_text("4fd1\n")
    monkeypatch.setattr(boot, "_FILE", str(file))
    assert boot.boot_id() == "4fd1"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's file is Linux's")
def test_without_proc_the_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boot, "_FILE", str(tmp_path / "none"))
    with pytest.raises(ZdeferdError, match=f"{tmp_path}/none: No such file .*; mount /proc"):
        boot.boot_id()


def test_macos_is_asked(sysctl: dict[str, str]) -> None:
    sysctl["kern.bootsessionuuid"] = "7A-1\n"
    assert boot.boot_id() == "7A-1"


@pytest.mark.usefixtures("sysctl")
def test_an_empty_identifier_is_no_key() -> None:
    with pytest.raises(ZdeferdError, match="darwin"):
        boot.boot_id()


NOON = 1_700_000_000.0
"""22:13 on 14 November 2023, UTC."""


@pytest.fixture
def zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The test may set TZ; the C library goes back to the real one afterwards."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def test_the_date_is_that_of_the_zone_as_it_is_now(zones: pytest.MonkeyPatch) -> None:
    zones.setenv("TZ", "UTC")
    assert boot.local_day(NOON) == "2023-11-14"
    zones.setenv("TZ", "EAST-3")
    assert boot.local_day(NOON) == "2023-11-15"


@pytest.mark.parametrize(("zone", "day"), [("EAST-3", "2023-11-15"), ("WEST3", "2023-11-14")])
def test_the_date_in_another_process_s_zone(zones: pytest.MonkeyPatch, zone: str, day: str) -> None:
    for own in ("UTC", "EAST-14"):
        zones.setenv("TZ", own)
        before = boot.local_day(NOON)
        assert boot.day_in(NOON, zone) == day
        assert os.environ["TZ"] == own
        assert time.strftime("%Y-%m-%d", time.localtime(NOON)) == before


def test_without_a_zone_it_is_the_machine_s(zones: pytest.MonkeyPatch) -> None:
    zones.delenv("TZ", raising=False)
    machine = boot.local_day(NOON)
    zones.setenv("TZ", "EAST-14" if machine == "2023-11-14" else "WEST12")
    assert boot.local_day(NOON) != machine
    assert boot.day_in(NOON, None) == machine


SPRING = 1_774_695_600.0
"""12:00 on 28 March 2026 in Berlin, where 02:00 of the next day is 03:00."""


@pytest.mark.parametrize(
    ("text", "hours"),
    [("01:59", 13 + 59 / 60), ("02:00", 14), ("02:30", 14), ("02:59", 14), ("03:00", 14),
     ("03:10", 14 + 10 / 60)],
)  # fmt: skip
def test_a_time_that_summer_time_leaves_out_is_its_beginning(
    zones: pytest.MonkeyPatch, text: str, hours: float
) -> None:
    zones.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert boot.clock_at(SPRING, text, 1) == SPRING + hours * 3600


def test_a_time_that_comes_twice_is_one_of_both(zones: pytest.MonkeyPatch) -> None:
    zones.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    found = boot.clock_at(1_792_832_400.0, "02:30", 1)  # 25 October 2026
    assert time.localtime(found)[2:5] == (25, 2, 30)
