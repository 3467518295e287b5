"""`zdeferctl install`: says and does, once (test_service.py has the plans)."""

from pathlib import Path

import pytest
from support.user import User, call, daemon_script

LINE = "source ~/.local/share/zdeferd/shell/zdeferd.plugin.zsh"


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
