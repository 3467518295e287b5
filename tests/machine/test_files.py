"""What opening a file does where something else stands in its place."""

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from zdeferd.errors import UnsafePath, ZdeferdError
from zdeferd.machine.files import (
    is_private_group,
    open_file,
    open_private,
    replace_whole,
    untrusted,
    way_to,
    write_whole,
)


def test_a_new_file_is_private_and_not_inherited(home: Path) -> None:
    before = os.umask(0)
    try:
        fd = open_file(f"{home}/new", os.O_WRONLY | os.O_CREAT)
    finally:
        os.umask(before)
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_replaced_file_keeps_its_mode(home: Path) -> None:
    path = home / "file"
    replace_whole(str(path), b"one", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)
    path.chmod(0o640)
    replace_whole(str(path), b"two", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)


def test_a_file_that_cannot_be_replaced_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "file"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ZdeferdError, match=f"cannot write: {path}: No space left on device"):
        write_whole(str(path), "new")
    assert [(one.name, one.read_text()) for one in home.iterdir()] == [("file", "old")]


def test_a_fifo_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "fifo")
    fd = open_file(f"{home}/fifo", os.O_RDONLY)
    assert os.read(fd, 1) == b""
    os.close(fd)
    with pytest.raises(OSError, match="No such device"):
        open_file(f"{home}/fifo", os.O_WRONLY)


@pytest.mark.parametrize("target", ["file", "nothing"])
def test_a_symlink_is_not_followed(home: Path, target: str) -> None:
    (home / "file").touch(mode=0o600)
    (home / "link").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        open_file(f"{home}/link", os.O_RDWR | os.O_CREAT)
    with pytest.raises(UnsafePath, match="symlinks are not followed here"):
        open_private(f"{home}/link", os.O_RDWR | os.O_CREAT)
    assert not (home / "nothing").exists()


def test_a_file_that_others_can_read_is_not_private(home: Path) -> None:
    os.close(open_private(f"{home}/file", os.O_RDWR | os.O_CREAT))
    os.close(open_private(f"{home}/file", os.O_RDWR))
    (home / "file").chmod(0o644)
    with pytest.raises(UnsafePath, match="mode 0644; chmod 600"):
        open_private(f"{home}/file", os.O_RDWR)


def test_the_way_leads_through_folders_and_links(home: Path) -> None:
    (home / "real").mkdir()
    (home / "real/file").touch()
    (home / "link").symlink_to("real/../real")
    seen = [place for place, _ in way_to(f"{home}/link/./file")]
    assert seen[-4:] == [f"{home}/link", f"{home}/real", f"{home}/real", f"{home}/real/file"]
    with pytest.raises(FileNotFoundError):
        list(way_to(f"{home}/none/file"))


@pytest.mark.parametrize(
    ("name", "members", "others", "expected"),
    [
        ("ada", [], [], True),
        ("ada", ["ada"], [], True),
        ("ada", ["ada", "eve"], [], False),
        ("users", [], [], False),
        ("ada", [], ["eve"], False),
    ],
)
def test_a_private_group_has_the_user_s_name_and_no_other_member(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    members: list[str],
    others: list[str],
    expected: bool,
) -> None:
    ada = SimpleNamespace(pw_name="ada", pw_gid=1000)
    eves = [SimpleNamespace(pw_name=other, pw_gid=1000) for other in others]
    monkeypatch.setattr(pwd, "getpwuid", lambda _: ada)
    monkeypatch.setattr(pwd, "getpwall", lambda: [ada, *eves])
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name=name, gr_mem=members))
    assert is_private_group(1000) is expected
    assert not is_private_group(1001)


def test_what_is_above_home_is_not_judged(home: Path) -> None:
    inner = home / "home"
    inner.mkdir()
    (inner / "file").touch(mode=0o644)
    home.chmod(0o777)
    assert list(untrusted(f"{inner}/file", str(inner))) == []
    assert len(list(untrusted(f"{inner}/file", f"{inner}/deeper"))) == 0
    assert [str(reason) for reason in untrusted(f"{inner}/file", "/elsewhere")] == [
        f"others can write to it: {home}: mode 0777; chmod go-w {home}"
    ]
