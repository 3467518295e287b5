"""The disk that forgets: what is synced stays, and all else can go, in every way it may."""

import stat
from random import Random

import pytest
from powercut.disk import ROOT, ForgetfulDisk, Inode, Refused

SEEDS = range(200)


def new(disk: ForgetfulDisk, name: bytes, folder: int = ROOT, kind: int = stat.S_IFREG) -> Inode:
    return disk.make(folder, name, Inode(0, kind | 0o600, 0, 0))


def contents(disk: ForgetfulDisk, name: bytes) -> bytes | None:
    """What a program reads; None: there is no such name."""
    try:
        return bytes(disk.find(ROOT, name).data)
    except Refused:
        return None


def after_a_cut(seed: int, folder_synced: bool, file_synced: bool) -> bytes | None:
    disk = ForgetfulDisk()
    file = new(disk, b"file")
    disk.write(file, 0, b"synced")
    if file_synced:
        disk.sync(file)
    if folder_synced:
        disk.sync_folder(ROOT)
    disk.cut(Random(seed))
    return contents(disk, b"file")


@pytest.mark.parametrize(
    ("folder_synced", "file_synced", "expected"),
    [
        (True, True, {b"synced"}),
        (True, False, {b"synced", b""}),
        (False, True, {b"synced", None}),
        (False, False, {b"synced", b"", None}),
    ],
)
def test_what_is_left_of_a_new_file(
    folder_synced: bool, file_synced: bool, expected: set[bytes | None]
) -> None:
    assert {after_a_cut(seed, folder_synced, file_synced) for seed in SEEDS} == expected


def test_writes_are_torn_at_sectors() -> None:
    seen = set()
    for seed in SEEDS:
        disk = ForgetfulDisk()
        file = new(disk, b"file")
        disk.sync_folder(ROOT)
        disk.write(file, 500, b"a" * 12 + b"b" * 512 + b"c")
        disk.cut(Random(seed))
        found = contents(disk, b"file")
        assert found is not None
        seen.add(found.lstrip(b"\0"))
    assert b"c" in seen
    assert b"a" * 12 + bytes(512) + b"c" in seen
    assert b"a" * 12 + b"b" * 512 in seen


def test_a_rename_is_whole_or_not_at_all() -> None:
    seen = set()
    for seed in SEEDS:
        disk = ForgetfulDisk()
        old = new(disk, b"target")
        disk.write(old, 0, b"old")
        disk.sync(old)
        disk.sync_folder(ROOT)
        disk.write(new(disk, b"new"), 0, b"new")
        disk.sync_folder(ROOT)
        disk.rename(ROOT, b"new", ROOT, b"target")
        disk.cut(Random(seed))
        seen.add((contents(disk, b"target"), contents(disk, b"new") is None))
    assert seen == {(b"old", False), (b"new", True), (b"", True)}


def test_a_name_that_is_taken_again_never_hides_what_was_renamed_away() -> None:
    for seed in SEEDS:
        disk = ForgetfulDisk()
        old = new(disk, b"log")
        disk.write(old, 0, b"old")
        disk.sync(old)
        disk.sync_folder(ROOT)
        disk.rename(ROOT, b"log", ROOT, b"log.1")
        new(disk, b"log")
        disk.cut(Random(seed))
        assert b"old" in (contents(disk, b"log"), contents(disk, b"log.1"))


def test_a_removed_name_can_come_back_with_what_was_synced() -> None:
    seen = set()
    for seed in SEEDS:
        disk = ForgetfulDisk()
        file = new(disk, b"file")
        disk.write(file, 0, b"x")
        disk.sync(file)
        disk.sync_folder(ROOT)
        disk.remove(ROOT, b"file")
        disk.cut(Random(seed))
        seen.add(contents(disk, b"file"))
    assert seen == {b"x", None}


def test_what_is_in_a_folder_that_was_not_synced_goes_with_it() -> None:
    seen = set()
    for seed in SEEDS:
        disk = ForgetfulDisk()
        folder = new(disk, b"folder", kind=stat.S_IFDIR)
        file = new(disk, b"file", folder.number)
        disk.sync(file)
        disk.sync_folder(folder.number)
        disk.cut(Random(seed))
        seen.add(len(disk.inodes))
    assert seen == {1, 3}


def test_programs_see_their_changes_before_any_cut() -> None:
    disk = ForgetfulDisk()
    file = new(disk, b"file")
    disk.write(file, 3, b"abc")
    disk.truncate(file, 4)
    disk.truncate(file, 6)
    assert contents(disk, b"file") == b"\0\0\0a\0\0"
    with pytest.raises(Refused):
        new(disk, b"file")
    disk.remove(ROOT, b"file")
    assert contents(disk, b"file") is None
