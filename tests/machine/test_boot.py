"""The identifier of the boot, on each platform."""

import subprocess
import sys
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
