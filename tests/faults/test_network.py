"""State or socket not known to be local: the daemon refuses with a remedy."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.world import doctor
from support.daemon import Daemon

from zdeferd.daemon import main as program
from zdeferd.machine import mounts


@pytest.fixture
def at_home(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is the daemon's user."""
    for name, value in daemon.env.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    yield
    os.umask(before)


def mounted(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, kind: str, at: Path) -> None:
    """The kernel's list, with one more line."""
    listed = daemon.home / "mounts"
    listed.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {at.resolve()} {kind} rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", str(listed))


@pytest.mark.parametrize("kind", ["nfs4", "fuse.ceph-fuse", "gpfs"])
def test_the_state_folder(
    daemon: Daemon, at_home: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], kind: str,
) -> None:  # fmt: skip
    mounted(daemon, monkeypatch, kind, daemon.home / ".local")
    assert program.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"zdeferd: on {kind}, ")
    assert "state_dir in config.toml" in said
    assert not daemon.state.exists(), "nothing is made there"
    assert f"on {kind}, " in doctor(daemon)


def test_the_socket(
    daemon: Daemon, at_home: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    mounted(daemon, monkeypatch, "nfs", daemon.home / "run")
    assert program.main([]) == 1
    assert "set ZDEFERD_SOCKET" in capsys.readouterr().err
    assert "bad socket on nfs" in doctor(daemon)


def test_the_advice_helps(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    local = daemon.home / "local"
    daemon.write_settings(f'state_dir = "{local}"\n')
    mounted(daemon, monkeypatch, "nfs", daemon.home / ".local")
    assert "on nfs" not in doctor(daemon)
