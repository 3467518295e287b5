"""The fingerprint differs exactly when what is watched does."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zdeferd.jobs.fingerprint import find_command, fingerprint


def seen(home: Path, word: str, path: str = "") -> str:
    return fingerprint((word.replace("~", str(home)),), {"PATH": path or f"{home}/bin"})


@pytest.fixture
def tree(home: Path) -> Path:
    for name in ("a.txt", "b.txt", "bin/tool", "lib/tool-1", "lib/.hidden"):
        path = home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        path.chmod(0o755)
        os.utime(path, ns=(1, 1))
    return home


CHANGES: list[tuple[str, Callable[[Path], object]]] = [
    ("~/a.txt", lambda home: (home / "a.txt").unlink()),
    ("~/a.txt", lambda home: (home / "a.txt").write_text("longer than before")),
    ("~/a.txt", lambda home: os.utime(home / "a.txt", ns=(1, 2))),
    ("~/none", lambda home: (home / "none").touch()),
    ("~/*.txt", lambda home: (home / "c.txt").touch()),
    ("~/*.txt", lambda home: (home / "b.txt").unlink()),
    ("~/*.none", lambda home: (home / "c.none").touch()),
    ("~/lib/*", lambda home: os.utime(home / "lib/.hidden", ns=(1, 2))),
    ("~/**/tool-1", lambda home: os.utime(home / "lib/tool-1", ns=(1, 2))),
    ("command:tool", lambda home: os.utime(home / "bin/tool", ns=(1, 2))),
    ("command:tool", lambda home: (home / "bin/tool").chmod(0o644)),
    ("command:none", lambda home: (home / "bin/tool").rename(home / "bin/none")),
]


@pytest.mark.parametrize(("word", "change"), CHANGES)
def test_a_change_is_seen(tree: Path, word: str, change: Callable[[Path], object]) -> None:
    before = seen(tree, word)
    assert seen(tree, word) == before
    change(tree)
    assert seen(tree, word) != before


def test_other_files_do_not_count(tree: Path) -> None:
    before = seen(tree, "~/*.txt")
    (tree / "other").touch()
    assert seen(tree, "~/*.txt") == before


def test_a_replaced_file_of_the_same_size_and_time_is_seen(tree: Path) -> None:
    before = seen(tree, "~/a.txt")
    (tree / "new").write_text("a.txt")
    os.utime(tree / "new", ns=(1, 1))
    (tree / "new").rename(tree / "a.txt")
    assert seen(tree, "~/a.txt") != before


def test_a_command_is_looked_at_behind_its_symlinks(tree: Path) -> None:
    (tree / "bin/linked").symlink_to("../lib/tool-1")
    before = seen(tree, "command:linked")
    os.utime(tree / "lib/tool-1", ns=(1, 2))
    assert seen(tree, "command:linked") != before


def test_the_first_folder_of_the_path_wins(tree: Path) -> None:
    (tree / "lib/tool").write_text("other")
    (tree / "lib/tool").chmod(0o755)
    assert find_command("tool", f"{tree}/lib:{tree}/bin") == f"{tree}/lib/tool"
    (tree / "lib/tool").chmod(0o644)
    assert find_command("tool", f"{tree}/lib:{tree}/bin") == f"{tree}/bin/tool"


def test_relative_folders_and_folders_named_like_the_command_do_not_count(tree: Path) -> None:
    (tree / "tool").mkdir()
    assert find_command("tool", f"::.:bin:{tree}") is None


def test_order_and_words_matter(tree: Path) -> None:
    a, b = f"{tree}/a.txt", f"{tree}/b.txt"
    assert fingerprint((a, b), {}) != fingerprint((b, a), {})
    assert fingerprint((a,), {}) != fingerprint((a, a), {})
    assert fingerprint((), {}) == fingerprint((), {"PATH": "/bin"})


def test_what_cannot_be_looked_at_is_a_state(tree: Path) -> None:
    assert seen(tree, "~/a.txt/below") != seen(tree, "~/none")
    (tree / "loop").symlink_to("loop")
    assert seen(tree, "~/loop") == seen(tree, "~/loop")


def test_names_that_are_not_utf8(tree: Path) -> None:
    (tree / os.fsdecode(b"\xff.txt")).touch()
    assert len(seen(tree, "~/*.txt")) == 32
