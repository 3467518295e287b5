"""What opening a file does where something else stands in its place."""

import os
from pathlib import Path

import pytest

from zdeferd.errors import UnsafePath
from zdeferd.machine.files import open_file, open_private


def test_a_new_file_is_private_and_not_inherited(home: Path) -> None:
    before = os.umask(0)
    try:
        fd = open_file(f"{home}/new", os.O_WRONLY | os.O_CREAT)
    finally:
        os.umask(before)
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(fd)
    os.close(fd)


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
