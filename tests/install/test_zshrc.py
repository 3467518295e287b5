"""The text of a .zshrc: what loads the plugin, what needs it, and where the line goes."""

from pathlib import Path

import pytest

from zdeferd.install import zshrc

LINE = "[[ -r ~/zdeferd.plugin.zsh ]] && source ~/zdeferd.plugin.zsh"
ADDED = f"{LINE}  # mine"


@pytest.mark.parametrize(
    ("line", "sources", "calls"),
    [
        (LINE, True, False),
        (f"# {LINE}", False, False),
        ("zinit light me/zdeferd", False, False),
        ("zdefer add a -- b", False, True),
        ("zf::defer::register a b postprompt", False, True),
        ("zf::idle::run_if_ready", False, True),
        ("  zdefer add a -- b", False, False),
        ("zdeferctl status", False, False),
        ("# zdefer add a -- b", False, False),
    ],
)
def test_what_a_line_does(line: str, sources: bool, calls: bool) -> None:
    assert zshrc.sources_shim(line) is sources
    assert zshrc.calls_shim(line) is calls


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{ADDED}\n"),
        ("one\n", f"one\n{ADDED}\n"),
        ("one", f"one\n{ADDED}\n"),
        ("one\nzdefer add a -- b\ntwo", f"one\n{ADDED}\nzdefer add a -- b\ntwo"),
        ("a=1 \\\n", f"a=1 \\\n\n{ADDED}\n"),
        ("one\na=1 \\\nzdefer add a -- b\n", f"one\n{ADDED}\na=1 \\\nzdefer add a -- b\n"),
        ("# one\u2028zdefer add\n\x0c\ntwo\n", f"# one\u2028zdefer add\n\x0c\ntwo\n{ADDED}\n"),
        (f"{LINE}\n", f"{LINE}\n"),
        ("one\nsource /old/zdeferd.plugin.zsh  # mine\ntwo\n", f"one\n{ADDED}\ntwo\n"),
        (f"# {LINE}\n", f"# {LINE}\n{ADDED}\n"),
        ("a\fb\r\n\udcff", f"a\fb\r\n\udcff\n{ADDED}\n"),
    ],
)
def test_the_line_goes_above_what_needs_it(before: str, after: str) -> None:
    assert zshrc.with_line(before, LINE, "# mine") == after
    assert zshrc.with_line(after, LINE, "# mine") == after


def test_only_the_marked_line_is_taken_out() -> None:
    text = f"one\n{LINE}  # mine\n{LINE}\nmine: two"
    assert zshrc.without_line(text, "# mine") == f"one\n{LINE}\nmine: two"


def test_the_file_as_a_whole(home: Path) -> None:
    path = home / ".zshrc"
    assert zshrc.lines_of(str(path)) == []
    assert not zshrc.loads_shim(str(path))
    path.write_text("zdefer add a -- b\n# zdeferd\n")
    assert not zshrc.loads_shim(str(path))
    assert zshrc.called_too_early(str(path)) == 0
    path.write_text(f"one\nzdefer add a -- b\n{LINE}\nzdefer add c -- d\n")
    assert zshrc.loads_shim(str(path))
    assert zshrc.called_too_early(str(path)) == 2
    path.write_text("zinit light me/zdeferd\n")
    assert zshrc.loads_shim(str(path))
