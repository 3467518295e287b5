"""`zdeferctl uninstall`: nothing stays but the user's own files."""

import fcntl
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.user import User, call, claim, daemon_script

SAID = """\
stopped  the daemon
removed  the marker by which shells start zdeferd
removed  the line in ~/.zshrc
removed  the plugin, ~/.local/share/zdeferd/shell
removed  the manual pages in ~/.local/share/man
kept     ~/.config/zdeferd: settings and jobs
kept     ~/.local/state/zdeferd: ledger, outputs and logs; --purge removes them
kept     ~/.zshrc.before-zdeferd: .zshrc as it was before install

Shells that are open still have their half of it: open new ones.
"""


@pytest.fixture(autouse=True)
def program(user: User, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`zdeferd` beside zdeferctl; no service manager answers in this home."""
    script = daemon_script(user)
    monkeypatch.setattr("sys.argv", [str(script.parent / "zdeferctl")])
    return script


def files(user: User) -> set[str]:
    found = (path.relative_to(user.root) for path in user.root.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] not in ("bin", "stderr")}


def test_nothing_was_installed(user: User) -> None:
    assert call("uninstall") == (0, "nothing was installed\n", "")


def test_all_of_it_while_the_daemon_runs(user: User, daemon: Daemon) -> None:
    (user.root / ".zshrc").write_text("alias ll='ls -l'\n")
    user.job_file('[build]\nrun = "true"\n')
    assert call("install", "--zshrc").code == 0
    daemon.start()
    assert call("run", "build").code == 0
    result = call("uninstall")
    assert result.code == 0, result.err
    assert result.out == SAID
    assert daemon.process is not None
    assert daemon.process.wait(200) == 0
    own = {".zshrc", ".zshrc.before-zdeferd", ".config/zdeferd/jobs.d/mine.toml"}
    assert own < files(user)
    assert {name for name in files(user) - own if not name.startswith(".local/state/")} == set()
    assert ".local/state/zdeferd/ledger.sqlite3" in files(user)
    assert not (user.root / "run/zdeferd").exists()
    purged = call("uninstall", "--purge")
    assert "removed  ledger, outputs and logs in ~/.local/state/zdeferd\n" in purged.out
    assert "kept     ~/.local" not in purged.out
    assert files(user) == own
    assert (user.root / ".zshrc").read_text() == "alias ll='ls -l'\n"


def test_a_line_of_the_users_own_is_named(user: User) -> None:
    (user.root / ".zshrc").write_text("source ~/plugins/zdeferd.plugin.zsh\n")
    result = call("uninstall")
    assert "Take this line out of ~/.zshrc" in result.out
    assert "source ~/plugins/zdeferd.plugin.zsh" in result.out


def test_calls_that_are_left_are_named(user: User) -> None:
    zshrc = user.root / ".zshrc"
    job = "zdefer add a -- true\n"
    zshrc.write_text(f"alias x=y\n{job}")
    assert call("install", "--zshrc").code == 0
    first, line, last = zshrc.read_text().splitlines()
    assert "zdeferd.plugin.zsh" in line, "above what needs it"
    result = call("uninstall")
    assert (
        "Take these lines out of ~/.zshrc as well; they need the plugin:\n  zdefer add a -- true"
        in result.out
    )
    assert zshrc.read_text() == f"{first}\n{last}\n"


def test_no_purge_while_jobs_run(user: User) -> None:
    ledger = user.ledger()
    run = claim(ledger, "build")
    ledger.dispatch(run, "a-boot", 1.0)
    folder = user.state / "runs" / str(run)
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = call("uninstall", "--purge")
        assert result.code == 1
        assert f"jobs are running: run {run}" in result.err
    assert call("uninstall", "--purge").code == 0  # it has ended, though no daemon took it in
    assert not (user.state / "ledger.sqlite3").exists()


def test_no_purge_of_what_started_until_the_daemon_had_left(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claim(user.ledger(), "build")
    looks = iter(([], [run]))
    monkeypatch.setattr("zdeferd.view.live.still_run", lambda *_: next(looks))
    result = call("uninstall", "--purge")
    assert f"jobs are running: run {run}" in result.err
    assert (user.state / "ledger.sqlite3").exists()


def test_purge_takes_the_pointer_of_a_killed_daemon(user: User) -> None:
    user.ledger()
    pointer = user.state / "socket"
    pointer.write_text(f"{user.root}/run/zdeferd/sock\n")
    assert call("uninstall", "--purge").code == 0
    assert not pointer.exists()


def test_caches_that_stay_are_named(user: User) -> None:
    cache = user.root / ".cache/zdeferd/init/fzf.zsh"
    cache.parent.mkdir(parents=True)
    cache.write_text("true\n")
    seen = user.state / "zsh/5.9"
    seen.parent.mkdir()
    seen.touch()
    what = "caches of `zdefer eval` and `zdefer compinit`, without use now"
    assert f"kept     ~/.cache/zdeferd: {what}\n" in call("uninstall", "--purge").out
    assert cache.exists()
    assert not seen.exists()


def test_dry_run_does_nothing(user: User) -> None:
    assert call("install").code == 0
    ledger = user.ledger()
    claim(ledger, "build")
    before = files(user)
    text = call("uninstall", "--dry-run").out
    assert text == (
        "would remove  the marker by which shells start zdeferd\n"
        "would remove  the plugin, ~/.local/share/zdeferd/shell\n"
        "would remove  the manual pages in ~/.local/share/man\n"
        "would keep    ~/.local/state/zdeferd: ledger, outputs and logs; --purge removes them\n"
    )
    assert "would keep" not in call("uninstall", "--dry-run", "--purge").out
    assert (
        "remove ~/.local/share/zdeferd/shell\n" in call("uninstall", "--dry-run", "--verbose").out
    )
    assert files(user) == before


def test_a_run_that_goes_on_is_told(user: User) -> None:
    ledger = user.ledger()
    ledger.dispatch(claim(ledger, "build"), "a-boot", 1.0)
    folder = user.state / "runs/1"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "run 1 goes on to its end\n" in call("uninstall").out


def test_the_marker_that_stop_put_aside_goes_too(user: User) -> None:
    call("install")
    call("stop")
    call("uninstall")
    assert files(user) == set()
