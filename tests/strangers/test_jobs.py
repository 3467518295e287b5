"""A stranger writes jobs, where a file or folder was left open to everybody."""

import os
from pathlib import Path

import pytest
from faults.world import doctor, prompt, said_by, wait_ended
from strangers.world import STRANGER, as_stranger, give, needs_root
from support.daemon import Daemon, Peer

from zdeferd.wire import control

pytestmark = needs_root
GOOD = '[good]\nrun = "true"\non = ["postprompt"]\nonce_per = "shell"\n'


def evil(home: Path) -> str:
    return f'[evil]\nrun = "touch {home}/evil"\non = ["postprompt"]\nonce_per = "shell"\n'


def shell(daemon: Daemon, nonce: str) -> None:
    """A new shell's prompt; all that it made due has run."""
    prompt(daemon, nonce, "true")
    wait_ended(daemon, nonce)
    daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)


def reloaded(daemon: Daemon) -> str:
    """Return the refused jobs that `zdeferctl reload` lists."""
    with Peer(daemon.socket) as peer:
        answer = peer.request(control.Reload())
    assert isinstance(answer, control.Reloaded)
    return "\n".join(answer.problems)


@pytest.fixture
def jobs(daemon: Daemon) -> Path:
    """jobs.d with a good file, read by a running daemon."""
    daemon.write_jobs(GOOD, "good.toml")
    daemon.config.chmod(0o755)
    daemon.start()
    shell(daemon, "first")
    assert wait_ended(daemon, "good") == [("succeeded", 0)]
    return daemon.config / "jobs.d"


def refused(daemon: Daemon, home: Path, expected: str) -> None:
    """The daemon, `zdeferctl check` and doctor agree, and a new shell runs nothing of theirs."""
    assert expected in reloaded(daemon)
    assert expected in "\n".join(said_by(daemon, "check")["problems"])
    assert "bad jobs" in doctor(daemon)
    shell(daemon, "second")
    assert not (home / "evil").exists()


def test_a_file_that_anybody_can_write(daemon: Daemon, jobs: Path, home: Path) -> None:
    (jobs / "good.toml").chmod(0o666)
    jobs.chmod(0o755)
    assert as_stranger(lambda: (jobs / "good.toml").write_text(evil(home)))
    refused(daemon, home, f"others can write to it: {jobs}/good.toml: mode 0666")
    assert len(wait_ended(daemon, "good", 2)) == 2, "the last good ones stay in force"


def test_a_folder_that_anybody_can_write(daemon: Daemon, jobs: Path, home: Path) -> None:
    jobs.chmod(0o777)
    assert as_stranger(lambda: (jobs / "evil.toml").write_text(evil(home)))
    refused(daemon, home, f"others can write to it: {jobs}: mode 0777")
    jobs.chmod(0o700)  # the folder is mended, the file is still theirs
    assert f"not owned by you: {jobs}/evil.toml: uid {STRANGER}" in reloaded(daemon)
    shell(daemon, "third")
    assert not (home / "evil").exists()


def test_a_folder_above_that_anybody_can_write(daemon: Daemon, jobs: Path, home: Path) -> None:
    """They put another jobs.d in its place, with files of ours that say something else."""
    clone = home / "clone"
    clone.mkdir(mode=0o755)
    (clone / "evil.toml").write_text(evil(home))
    daemon.config.chmod(0o777)

    def swap() -> None:
        jobs.rename(jobs.with_name("kept"))
        jobs.symlink_to(clone)

    assert as_stranger(swap) is None
    refused(daemon, home, f"others can write to it: {daemon.config}: mode 0777")


def test_a_folder_of_theirs(daemon: Daemon, jobs: Path, home: Path) -> None:
    jobs.rename(jobs.with_name("kept"))
    theirs = home / "theirs"
    theirs.mkdir(mode=0o755)
    (theirs / "evil.toml").write_text(evil(home))
    give(theirs)
    jobs.symlink_to(theirs)
    refused(daemon, home, f"not owned by you: {jobs}: uid {STRANGER}")


def test_settings_of_theirs(daemon: Daemon, jobs: Path, home: Path) -> None:
    settings = daemon.config / "config.toml"
    settings.write_text(f'log = "{home}/elsewhere"\n')
    settings.chmod(0o644)
    give(settings)
    refused(daemon, home, f"not owned by you: {settings}: uid {STRANGER}")
    assert not (home / "elsewhere").exists()


def test_a_fifo_among_the_files_holds_nobody_up(daemon: Daemon, jobs: Path, home: Path) -> None:
    os.mkfifo(jobs / "evil.toml")
    give(jobs / "evil.toml")
    refused(daemon, home, "not a regular file")
