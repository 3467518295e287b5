"""`zdeferctl cache`: what `zdefer eval` sources, made anew or removed."""

import os
from pathlib import Path

import pytest
from shell.conftest import PLUGIN
from support.daemon import Daemon
from support.terminal import Terminal
from support.user import NOW, User, call, claim, end, job

from zdeferd.model import Outcome, Scope


def declare(user: User, name: str, code: str | None) -> Path:
    """A job of `zdefer eval` that a shell declared, and its cache."""
    folder = user.root / ".cache/zdeferd/init"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.zsh"
    if code is not None:
        path.write_text(code)
        path.chmod(0o600)
        compiled = path.with_suffix(".zsh.zwc")
        compiled.touch(0o600)
        os.utime(compiled, ns=(path.stat().st_mtime_ns,) * 2)
    made = job(f"eval-{name}", once_per=Scope.CHANGE, output=str(path), check="init", compile=True)
    user.ledger().declare_job(made, "shell-1", NOW)
    return path


def states(*words: str) -> dict[str, tuple[str, str | None]]:
    """State and reason of each cache, by name."""
    document = call("cache", *words, "--json").document
    return {one["name"]: (one["state"], one["reason"]) for one in document["caches"]}


def test_none_yet(user: User) -> None:
    result = call("cache")
    assert result.code == 0
    assert result.out.startswith("no caches yet")


def test_what_is_there_and_what_it_saves(user: User) -> None:
    declare(user, "tool", "f() { : }\n")
    declare(user, "none", None)
    ledger = user.ledger()
    end(ledger, claim(ledger, "eval-tool"))
    none, tool = call("cache", "list", "--json").document["caches"]
    assert (tool["name"], tool["job"], tool["size_bytes"]) == ("tool", "eval-tool", 10)
    assert tool["state"] == "fresh"
    assert 0 < tool["source_ms"] < tool["command_ms"]
    assert tool["saved_ms"] == pytest.approx(tool["command_ms"] - tool["source_ms"], abs=0.01)
    assert (none["state"], none["made_at_s"], none["saved_ms"]) == ("none", None, None)
    lines = call("cache", "list", "tool").out.splitlines()
    assert lines[0].split() == ["NAME", "MADE", "SIZE", "SAVED", "STATE"]
    assert lines[1].split()[0] == "tool"
    assert lines[1].endswith("fresh")
    assert len(lines) == 2


def test_why_one_is_not_fresh(user: User) -> None:
    ledger = user.ledger()
    for name in ("refused", "open", "link"):
        declare(user, name, "f() { : }\n")
    end(ledger, claim(ledger, "eval-refused"), Outcome.FAILED, 65)
    folder = user.root / ".cache/zdeferd/init"
    (folder / "open.zsh").chmod(0o666)
    (folder / "link.zsh").unlink()
    (folder / "link.zsh").symlink_to(folder / "refused.zsh")
    (folder / "old.zsh").write_text(":")
    found = states()
    assert found["refused"][0] == "stale"
    assert "failed, rc 65" in (found["refused"][1] or "")
    assert found["open"] == ("not read", "its file can be changed by others: mode 666")
    assert found["link"] == ("not read", "its file is a link or of another kind")
    assert found["old"][0] == "unused"
    folder.chmod(0o755)
    (folder / "refused.zsh.zwc").chmod(0o660)
    assert states()["refused"] == (
        "not read",
        "its compiled file can be changed by others: mode 660",
    )
    folder.chmod(0o770)
    assert (
        states("list", "refused")["refused"][1] == "its folder can be changed by others: mode 770"
    )


def test_a_cache_folder_outside_the_home_is_said_with_what_to_do(
    user: User, tmp_path: Path
) -> None:
    output = f"{tmp_path}/zdeferd/init/tool.zsh"
    made = job("eval-tool", once_per=Scope.CHANGE, output=output, check="init", watch=("/no",))
    user.ledger().declare_job(made, "shell-1", NOW)
    end(user.ledger(), claim(user.ledger(), "eval-tool"), Outcome.FAILED, 65)
    place = f"{tmp_path}: a place outside your home folder"
    remedy = "set XDG_CACHE_HOME to a folder of yours below it, or unset it"
    assert states()["tool"] == ("none", f"{place}; {remedy}")
    why = call("why", "eval-tool", "--json").document
    assert why["misplaced"] == place
    assert f"Its output has no place: {place}; {remedy}." in why["sentence"]
    assert "missing" not in why["sentence"]


def test_what_something_else_has_changed_is_made_again(user: User) -> None:
    path = declare(user, "tool", "f() { : }\n")
    ledger = user.ledger()
    end(ledger, claim(ledger, "eval-tool"))
    assert states()["tool"] == ("fresh", None)
    path.write_text("f() {")
    state, reason = states()["tool"]
    assert state == "stale"
    assert str(reason).startswith("to be made again: ")
    assert "what is there is not what was published" in str(reason)


def test_the_dumps_of_compinit_are_caches_too(user: User) -> None:
    folder = user.root / ".cache/zdeferd/compinit"
    folder.mkdir(mode=0o700, parents=True)
    for name in ("compinit-59-known", "compinit-58-old"):
        (folder / f"{name}.zsh").touch(0o600)
    for name in ("compinit-59-known", "compinit-59-gone"):
        output = str(folder / f"{name}.zsh")
        made = job(name, once_per=Scope.CHANGE, output=output, check="zsh", watch=("/nowhere",))
        user.ledger().declare_job(made, "shell-1", NOW)
        end(user.ledger(), claim(user.ledger(), name))
    assert {name: state for name, (state, _) in states().items()} == {
        "compinit-59-known": "fresh",
        "compinit-58-old": "unused",
    }
    known, _ = call("cache", "--json").document["caches"]
    assert (known["job"], known["source_ms"], known["saved_ms"]) == (known["name"], None, None)
    assert call("cache", "clear").out == "2 caches removed\n"
    assert list(folder.iterdir()) == []


def test_clear_removes_both_files(user: User) -> None:
    path = declare(user, "tool", "f() { : }\n")
    other = declare(user, "other", "f() { : }\n")
    compiled = path.with_name("tool.zsh.zwc")
    compiled.touch()
    assert call("cache", "clear", "tool").out == "1 cache removed\n"
    assert (path.exists(), compiled.exists(), other.exists()) == (False, False, True)
    assert call("cache", "clear", "--json").document["removed"] == ["other"]


def test_a_name_that_is_none(user: User) -> None:
    declare(user, "tool", "f() { : }\n")
    for action in ("list", "clear", "refresh"):
        result = call("cache", action, "tol")
        assert result.code == 1
        assert result.err == "zdeferctl: no such cache: tol; zdeferctl cache lists them\n"


def test_a_name_that_begins_like_an_option(user: User) -> None:
    path = declare(user, "-opt-tool-init", "f() { : }\n")
    end(user.ledger(), claim(user.ledger(), "eval--opt-tool-init"), Outcome.FAILED, 1)
    reason = states()["-opt-tool-init"][1] or ""
    assert "; zdeferctl cache refresh -- -opt-tool-init tries again" in reason
    assert call("cache", "clear", "--", "-opt-tool-init").code == 0
    assert not path.exists()


def test_refresh_without_a_daemon(user: User) -> None:
    declare(user, "tool", "f() { : }\n")
    assert call("cache", "refresh").code == 3


def test_refresh_makes_it_now(daemon: Daemon) -> None:
    daemon.start()
    (daemon.home / "code").write_text("version=1\n")
    zshrc = f"source {PLUGIN}\nzdefer eval -n x cat {daemon.home}/code\nzdefer eval -n y true\n"
    with Terminal(daemon.home, zshrc) as shell:
        shell.prompt()
        daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'ended'", 2)
    (daemon.home / "code").write_text("version=2\n")
    done = daemon.run("zdeferd.cli", "cache", "refresh", "x")
    assert (done.returncode, done.stdout) == (0, "1 cache made anew\n")
    assert (daemon.home / ".cache/zdeferd/init/x.zsh").read_text() == "version=2\n"
    done = daemon.run("zdeferd.cli", "cache", "refresh")
    assert done.returncode == 1
    assert done.stdout.startswith("1 cache made anew\n! y failed: zdeferctl show ")
