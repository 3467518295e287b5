"""The fingerprint differs exactly when what is watched does."""

import glob
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from zdeferd.jobs import fingerprint as module
from zdeferd.jobs.fingerprint import Unseen, find_command, look_at


def fingerprint(watch: tuple[str, ...], env: Mapping[str, str]) -> str:
    return look_at(watch, env).fingerprint


def seen(home: Path, word: str, path: str = "") -> str:
    return fingerprint((word.replace("~", str(home)),), {"PATH": path or f"{home}/bin"})


@pytest.fixture
def tree(home: Path) -> Path:
    for name in ("a.txt", "b.txt", "bin/tool", "lib/tool-1", "lib/.hidden", "functions/_own"):
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
    ("~/{bin,lib}/tool*", lambda home: os.utime(home / "lib/tool-1", ns=(1, 2))),
    ("~/{a,none}.txt", lambda home: (home / "none.txt").touch()),
    ("~/{a,{b,c}}.txt", lambda home: (home / "b.txt").unlink()),
    ("~/{none}.txt", lambda home: (home / "{none}.txt").touch()),
    ("command:tool", lambda home: os.utime(home / "bin/tool", ns=(1, 2))),
    ("command:tool", lambda home: (home / "bin/tool").chmod(0o644)),
    ("command:none", lambda home: (home / "bin/tool").rename(home / "bin/none")),
    ("fpath:~/lib", lambda home: (home / "lib/_new").touch()),
    ("fpath:~/lib", lambda home: (home / "lib/tool-1").unlink()),
    ("fpath:~/lib", lambda home: (home / "lib").chmod(0o777)),
    ("fpath:~/lib", lambda home: home.chmod(0o770)),
    ("fpath:~/lib", lambda home: (home / "lib.zwc").touch()),
    ("fpath:~/none", lambda home: (home / "none").mkdir()),
    ("fpath:~/functions", lambda home: os.utime(home / "functions/_own", ns=(1, 2))),
]


@pytest.mark.parametrize(("word", "change"), CHANGES)
def test_a_change_is_seen(tree: Path, word: str, change: Callable[[Path], object]) -> None:
    before = seen(tree, word)
    assert seen(tree, word) == before
    change(tree)
    assert seen(tree, word) != before


def test_of_a_folder_of_fpath_other_names_count_only_by_coming_and_going(tree: Path) -> None:
    (tree / "functions/_own~").touch()
    (tree / "functions/README").touch()
    before = seen(tree, "fpath:~/functions")
    os.utime(tree / "functions/README", ns=(1, 2))
    (tree / "beside").touch()
    assert seen(tree, "fpath:~/functions") == before


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


def test_links_that_lead_up_are_not_followed(tree: Path) -> None:
    (tree / "lib/plugin").mkdir()
    (tree / "lib/plugin/workspace").symlink_to("../..")
    (tree / "lib/dotfiles").symlink_to(tree)
    (tree / "lib/twice").symlink_to("plugin")
    (tree / "lib/plugin/x.zsh").touch()
    before = seen(tree, "~/lib/**/*.zsh")
    (tree / "y.zsh").touch()  # above ~/lib, where only the links lead
    assert seen(tree, "~/lib/**/*.zsh") == before
    os.utime(tree / "lib/plugin/x.zsh", ns=(1, 2))
    assert seen(tree, "~/lib/**/*.zsh") != before


def test_links_that_lead_elsewhere_are_followed(tree: Path) -> None:
    (tree / "linked").mkdir()
    (tree / "linked/lib").symlink_to("../lib")
    before = seen(tree, "~/linked/**")
    os.utime(tree / "lib/tool-1", ns=(1, 2))
    assert seen(tree, "~/linked/**") != before


GLOBS = ["**", "**/*", "*", "*/*", "b*/*", "**/tool*", "**/lib/*", "*/**", "[ab].txt", "?.txt"]


@pytest.mark.parametrize("word", [*GLOBS, "**/**/t*", "lib/.*", "a.txt/*", "**/none/x"])
def test_globs_match_what_python_s_match(tree: Path, word: str) -> None:
    (tree / "dangling").symlink_to("nowhere")
    python = set(glob.glob(f"{tree}/{word}", recursive=True, include_hidden=True))
    assert module._Walk().matches(f"{tree}/{word}") == python


def test_too_many_files_cannot_be_seen(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 3)
    with pytest.raises(Unseen, match=r"more than 3 files: .*\*\*; watch fewer"):
        seen(tree, "~/**")
    assert seen(tree, "~/a.txt")


def test_what_takes_too_long_cannot_be_seen(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT_S", -1.0)
    with pytest.raises(Unseen, match="not seen in -1 s"):
        seen(tree, "~/**")


def test_a_variable_counts_by_its_value() -> None:
    values: list[dict[str, str]] = [{}, {"A": ""}, {"A": "1"}, {"A": "2"}]
    assert len({fingerprint(("env:A",), env) for env in values}) == len(values)
    assert fingerprint(("env:A",), {"B": "1"}) == fingerprint(("env:A",), {"B": "2"})


def test_of_a_time_in_whole_seconds_the_content_counts(tmp_path: Path) -> None:
    file = tmp_path / "file"

    def seen(text: str, mtime_ns: int) -> str:
        file.write_text(text)  # the same inode and size
        os.utime(file, ns=(mtime_ns, mtime_ns))
        return fingerprint((str(file),), {})

    assert seen("one", 1_000_000_000) != seen("two", 1_000_000_000)
    assert seen("one", 1_000_000_000) == seen("one", 1_000_000_000)
    assert seen("one", 1_000_000_001) == seen("two", 1_000_000_001), (
        "a time with a fraction is trusted"
    )


def test_a_file_that_cannot_be_read_is_seen_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    os.utime(file, (1, 1))
    readable = fingerprint((str(file),), {})
    file.unlink()
    os.mkfifo(file)
    os.utime(file, (1, 1))
    assert fingerprint((str(file),), {}) != readable


def test_what_is_read_of_many_files_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).write_text("one")
        os.utime(tmp_path / name, (1, 1))
    monkeypatch.setattr(module, "MOST_READ_IN_ALL", 2 * 4096)
    read: list[str] = []

    def content(path: str) -> str:
        read.append(path)
        return ""

    monkeypatch.setattr(module, "_content", content)
    fingerprint((f"{tmp_path}/*",), {})
    assert read == [f"{tmp_path}/a", f"{tmp_path}/b"]


def test_the_versions_of_a_shim_count(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    for place in ("shims", "versions/1/bin", "versions/2/bin"):
        (tree / "env" / place).mkdir(parents=True)
        (tree / "env" / place / "pip").write_text("#!/bin/sh\n")
        (tree / "env" / place / "pip").chmod(0o755)
    (tree / "env/version").write_text("1\n")
    words = ("command:pip", "~/env/shims/pip")
    changes: list[Callable[[], object]] = [
        lambda: (tree / "env/version").write_text("2\n"),
        lambda: (tree / ".python-version").write_text("2\n"),
        lambda: (tree / "env/versions/2/bin/pip").write_text("#!/bin/sh\n# new\n"),
        lambda: (tree / "env/versions/1/bin/pip").unlink(),
    ]
    for change in changes:
        before = [seen(tree, word, f"{tree}/env/shims") for word in words]
        assert [seen(tree, word, f"{tree}/env/shims") for word in words] == before
        change()
        after = [seen(tree, word, f"{tree}/env/shims") for word in words]
        assert all(now != then for now, then in zip(after, before, strict=True))


def test_a_new_version_of_zsh_is_a_change_and_two_in_turn_are_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    versions = ["5.9", "5.9", "5.8", "5.9", "5.8", "5.10", "5.9"]
    prints = [fingerprint((f"zsh:{version}",), {}) for version in versions]
    assert [prints.index(one) for one in prints] == [0, 0, 2, 2, 2, 5, 5]
    if os.getuid():
        (home / ".local/state/zdeferd/zsh").chmod(0o500)
        assert fingerprint(("zsh:6.0",), {}) != prints[-1]
        (home / ".local/state/zdeferd/zsh").chmod(0o700)


def test_what_is_kept_of_many_files_is_bounded_and_differs_when_they_do(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    watch = (f"{tree}/a.txt", f"{tree}/*.txt", f"{tree}/lib/*")
    (_, (one,)), (_, (two,)) = look_at(watch, {}).states
    assert one[:2] == (f"{tree}/a.txt", "5")
    assert two[0] == "2 files"
    os.utime(tree / "b.txt", ns=(1, 2))
    assert look_at(watch, {}).states[1][1] != (two,)


def test_the_value_of_a_variable_is_not_kept() -> None:
    kept = look_at(("env:TOKEN", "env:NONE"), {"TOKEN": "a-secret"}).states
    assert kept[1] == ("env:NONE", (("not set",),))
    assert kept[0][1][0][0] == "set"
    assert "a-secret" not in repr(kept)


def test_a_file_whose_name_has_braces(tree: Path) -> None:
    (tree / "{a,b}.txt").touch()
    before = seen(tree, "~/{a,b}.txt")
    (tree / "a.txt").unlink()
    assert seen(tree, "~/{a,b}.txt") == before


def test_braces_without_end(tree: Path) -> None:
    with pytest.raises(Unseen, match=r"more than 50000 files|not seen in"):
        seen(tree, "~/" + "{a,b}" * 30)
