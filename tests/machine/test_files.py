"""What opening a file does where something else stands in its place."""

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from zdeferd.errors import UnsafePath, ZdeferdError
from zdeferd.machine.files import (
    open_file,
    open_private,
    private_group,
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


@pytest.fixture
def ask_again() -> Iterator[None]:
    """Have the private group asked for in this test, and again after it."""
    private_group.cache_clear()
    yield
    private_group.cache_clear()


@pytest.mark.usefixtures("ask_again")
@pytest.mark.parametrize(
    ("gid", "members", "expected"),
    [
        (1000, [], 1000),
        (1000, ["ada"], 1000),
        (1000, ["ada", "eve"], None),
        (1001, [], None),
    ],
)
def test_a_private_group_has_the_user_s_name_and_no_other_member(
    monkeypatch: pytest.MonkeyPatch, gid: int, members: list[str], expected: int | None
) -> None:
    database = Database(monkeypatch, SimpleNamespace(gr_gid=gid, gr_mem=members))
    assert private_group() == expected
    assert database.asked == ["user", "group ada"]


@pytest.mark.usefixtures("ask_again")
@pytest.mark.parametrize("missing", ["user", "group ada"])
def test_without_an_entry_no_group_is_private(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    Database(monkeypatch, SimpleNamespace(gr_gid=1000, gr_mem=[]), missing)
    assert private_group() is None


@pytest.mark.usefixtures("ask_again")
def test_two_entries_are_asked_for_whatever_number_of_files_a_group_can_write_to(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(
        monkeypatch, SimpleNamespace(gr_gid=os.getgid(), gr_mem=[]), primary=os.getgid()
    )
    for name in "abc":
        (home / name).touch()
        (home / name).chmod(0o664)
        assert list(untrusted(f"{home}/{name}", str(home))) == []
    assert database.asked == ["user", "group ada"]


class Database:
    """A user database in which nothing can be listed, and no group asked for by its number."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        group: SimpleNamespace,
        missing: str = "",
        primary: int = 1000,
    ) -> None:
        self.asked: list[str] = []
        self._missing = missing
        user = SimpleNamespace(pw_name="ada", pw_gid=primary)
        monkeypatch.setattr(pwd, "getpwuid", lambda _: self._found("user", user))
        monkeypatch.setattr(grp, "getgrnam", lambda name: self._found(f"group {name}", group))
        for module, name in ((pwd, "getpwall"), (grp, "getgrall"), (grp, "getgrgid")):
            monkeypatch.delattr(module, name)

    def _found(self, what: str, entry: SimpleNamespace) -> SimpleNamespace:
        self.asked.append(what)
        if what == self._missing:
            raise KeyError(what)
        return entry


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
