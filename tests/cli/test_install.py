"""`zdeferctl install`: says and does, once (tests/install/test_plan.py has the plans)."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.user import User, call, daemon_script

from zdeferd.install.steps import AddLine

PLUGIN = "~/.local/share/zdeferd/shell/zdeferd.plugin.zsh"
LINE = f"[[ -r {PLUGIN} ]] && source {PLUGIN}"


@pytest.fixture
def program(user: User, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`zdeferd` beside zdeferctl; no service manager answers in this home."""
    script = daemon_script(user)
    monkeypatch.setattr("sys.argv", [str(script.parent / "zdeferctl")])
    return script


def test_where_no_manager_answers(user: User, program: Path) -> None:
    result = call("install")
    assert result.code == 0, result.err
    assert LINE in result.out
    assert "shells start zdeferd after their prompt" in result.out
    assert (user.state / "autostart").read_text() == f"{program}\n"
    assert (user.root / ".local/share/zdeferd/shell/zdeferd.plugin.zsh").is_file()
    assert not (user.root / ".zshrc").exists()
    again = call("install", "--json").document
    assert again["changed"] == []
    assert again["service"] == "autostart"
    assert again["zshrc_line"] == LINE


@pytest.mark.usefixtures("program")
def test_the_line_is_added_once_with_a_backup(user: User) -> None:
    zshrc = user.root / ".zshrc"
    zshrc.write_text("alias ll='ls -l'\n")
    first = call("install", "--zshrc")
    assert "line added to ~/.zshrc; as it was: ~/.zshrc.before-zdeferd" in first.out
    text = zshrc.read_text()
    assert text == f"alias ll='ls -l'\n{LINE}  # added by zdeferctl install\n"
    assert (user.root / ".zshrc.before-zdeferd").read_text() == "alias ll='ls -l'\n"
    for words in (("install", "--zshrc"), ("install",)):
        again = call(*words)
        assert again.code == 0
        assert ".zshrc   ~/.zshrc loads it already\n" in again.out
        assert "Put this line" not in again.out
        assert "\n\n\n" not in call(*words, "--verbose").out
    assert zshrc.read_text() == text


@pytest.mark.usefixtures("program")
def test_dry_run_does_nothing(user: User) -> None:
    before = sorted(user.root.rglob("*"))
    result = call("install", "--dry-run", "--zshrc")
    assert result.code == 0
    assert result.out.splitlines() == [
        "Would be put in place; nothing is done:",
        "service  no service manager answers here: shells start zdeferd after their prompt",
        "plugin   ~/.local/share/zdeferd/shell",
        "manual   ~/.local/share/man: man zdeferctl",
        ".zshrc   one line is added to ~/.zshrc",
    ]
    verbose = call("install", "--dry-run", "--zshrc", "--verbose").out
    assert "add one line to ~/.zshrc" in verbose
    assert "write ~/.local/share/zdeferd/shell/defer/visit.zsh" in verbose
    assert sorted(user.root.rglob("*")) == before


@pytest.mark.usefixtures("program")
def test_a_home_that_cannot_be_written_is_said_in_one_line(user: User) -> None:
    (user.root / ".local/share").write_text("a file in the way")
    result = call("install")
    assert result.code == 1
    assert result.err.startswith("zdeferctl: cannot write ")
    assert result.err.count("\n") == 1


@pytest.mark.usefixtures("program")
def test_a_zshrc_that_cannot_be_written_leaves_the_rest_done(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = user.root / "store/zshrc"
    store.parent.mkdir()
    store.write_text("print mine\n")
    (user.root / ".zshrc").symlink_to(store)

    def read_only(step: AddLine) -> bool:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), step.path)

    monkeypatch.setattr("zdeferd.install.steps._add_line", read_only)
    result = call("install", "--zshrc")
    assert result.code == 1
    assert "cannot add one line to ~/.zshrc: Read-only file system" in result.out
    assert f"Put this line where ~/.zshrc comes from, a link to ~/store/zshrc:\n\n  {LINE}" in (
        result.out
    )
    assert (user.state / "autostart").exists()
    document = call("install", "--zshrc", "--json").document
    assert document["zshrc_problem"].endswith("Read-only file system")
    assert document["zshrc_line"] == LINE


@pytest.mark.usefixtures("program")
@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_the_line_goes_where_zsh_reads_it(user: User) -> None:
    """ZDOTDIR is set in .zshenv, and not exported."""
    (user.root / ".zshenv").write_text("print noise\nZDOTDIR=$HOME/z\n")
    (user.root / "z").mkdir()
    assert call("install", "--zshrc").code == 0
    assert not (user.root / ".zshrc").exists()
    assert LINE in (user.root / "z/.zshrc").read_text()
    asked = ["zsh", "-ic", "print loaded=$+functions[zdefer]"]
    null = subprocess.DEVNULL
    done = subprocess.run(asked, env=user.env, stdin=null, capture_output=True, text=True)
    assert "loaded=1" in done.stdout
    assert call("uninstall").code == 0
    assert not (user.root / "z/.zshrc").exists()


@pytest.mark.usefixtures("program")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize(
    "words",
    [
        *("install", "uninstall", "start", "restart", "new x", "config notify off"),
        *("perf capture", "perf classify", "perf log add --type infra --scope x"),
    ],
)
def test_a_home_of_another_user_is_refused(user: User, words: str) -> None:
    os.chown(user.root, 12345, -1)
    before = sorted(user.root.rglob("*"))
    result = call(*words.split())
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"zdeferctl: HOME is not yours: {user.root}: uid 12345; start a ")
    assert sorted(user.root.rglob("*")) == before
