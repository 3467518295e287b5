"""What zsh itself is asked: whether a new shell loads the plugin, and which modules it has."""

import os
import shutil
import time

import pytest
from support.daemon import attempts
from support.user import User, findings

from zdeferd.install import ask
from zdeferd.install.share import share

SHELL = share("shell")


needs_zsh = pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")


@needs_zsh
def test_a_plugin_manager_with_its_own_list_is_asked_through_zsh(user: User) -> None:
    """Nothing in .zshrc names the plugin."""
    (user.root / "plugins.zsh").write_text(f"source {SHELL}/zdeferd.plugin.zsh\n")
    (user.root / ".zshrc").write_text("print noise; read -t 0\nsource ~/plugins.zsh\n")
    assert "a new shell loads the plugin" in findings("ok")["zshrc"]["found"]
    (user.root / "plugins.zsh").write_text("")
    assert "does not load the plugin" in findings("warn")["zshrc"]["found"]


@needs_zsh
def test_a_line_that_zsh_does_not_reach_is_found(user: User) -> None:
    (user.root / ".zshrc").write_text(f"return\nsource {SHELL}/zdeferd.plugin.zsh\n")
    assert "does not load the plugin" in findings("warn")["zshrc"]["found"]


@needs_zsh
def test_the_zshrc_is_the_one_that_zsh_reads(user: User) -> None:
    (user.root / ".zshrc").write_text(f"source {SHELL}/zdeferd.plugin.zsh\n")
    (user.root / ".zshenv").write_text("ZDOTDIR=$HOME/z\n")
    (user.root / "z").mkdir()
    found = findings("warn")["zshrc"]
    assert found["found"] == f"{user.root}/z/.zshrc does not load the plugin"


@needs_zsh
def test_a_shell_that_is_asked_executes_no_multiplexer(user: User) -> None:
    line = "[[ -n $TMUX ]] || exec tmux new-session"
    (user.root / ".zshrc").write_text(f"{line}\nsource {SHELL}/zdeferd.plugin.zsh\n")
    assert "a new shell loads the plugin" in findings("ok")["zshrc"]["found"]


NEVER = "print $$ >~/pid; : >~/waits\nread line <~/never\n# zdeferd\n"


@needs_zsh
def test_a_shell_that_never_answers_is_left_and_ended(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ask._read

    def read_once_it_hangs(terminal: int, until: float) -> bytes:
        """The limit has passed as soon as the shell waits."""
        assert any((user.root / "waits").exists() for _ in attempts())
        return read(terminal, time.monotonic())

    monkeypatch.setattr(ask, "_read", read_once_it_hangs)
    os.mkfifo(user.root / "never")
    (user.root / ".zshrc").write_text(NEVER)
    assert "does not load the plugin" in findings("warn")["zshrc"]["found"]
    pid = int((user.root / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@needs_zsh
def test_where_no_terminal_is_to_be_had_the_text_is_read(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> tuple[int, int]:
        raise OSError("out of pty devices")

    monkeypatch.setattr("zdeferd.install.ask.pty.fork", fork)
    (user.root / ".zshrc").write_text(f"source {SHELL}/zdeferd.plugin.zsh\n")
    assert findings("ok")["zshrc"]["found"] == f"{user.root}/.zshrc loads the plugin"


def test_a_zsh_without_modules_is_named(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    script = user.root / "bin/zsh"
    script.parent.mkdir(exist_ok=True)
    script.write_text("#!/bin/sh\necho 5.9\necho zsh/net/socket\necho zsh/system\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{user.env['PATH']}")
    found = findings("bad")["zsh"]["found"]
    assert found.startswith(f"5.9 ({script}) has no module zsh/net/socket, zsh/system: ")
