"""The socket rule and the other places; what is refused as not safely ours."""

import contextlib
import errno
import os
import pwd
from pathlib import Path

import pytest

from zdeferd.errors import UnsafePath
from zdeferd.machine import paths

DEFAULT = "/h/.local/state/zdeferd/run/sock"

SOCKET_RULE = [
    ({"HOME": "/h"}, DEFAULT),
    ({"HOME": "/h", "ZDEFERD_SOCKET": "/s"}, "/s"),
    ({"HOME": "/h", "ZDEFERD_SOCKET": "", "XDG_RUNTIME_DIR": "/run/u"}, "/run/u/zdeferd/sock"),
    ({"HOME": "/h", "ZDEFERD_SOCKET": "s"}, DEFAULT),
    ({"HOME": "/h", "ZDEFERD_SOCKET": "/s", "XDG_RUNTIME_DIR": "/run/u"}, "/s"),
    ({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/u"}, "/run/u/zdeferd/sock"),
    ({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/u/"}, "/run/u//zdeferd/sock"),
    ({"HOME": "/h", "XDG_RUNTIME_DIR": ""}, DEFAULT),
    ({"HOME": "/h", "XDG_RUNTIME_DIR": "run"}, DEFAULT),
    ({"HOME": "/h", "XDG_STATE_HOME": "/elsewhere"}, DEFAULT),
    ({"HOME": "/a b/é"}, "/a b/é/.local/state/zdeferd/run/sock"),
]


@pytest.mark.parametrize(("env", "expected"), SOCKET_RULE)
def test_socket_rule(env: dict[str, str], expected: str) -> None:
    assert paths.socket_path(env, "linux") == expected


def test_macos_has_no_runtime_dir() -> None:
    env = {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/u"}
    assert paths.socket_path(env, "darwin") == DEFAULT
    assert paths.socket_path(env | {"ZDEFERD_SOCKET": "/s"}, "darwin") == "/s"


@pytest.mark.parametrize("env", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_without_home_the_user_database_decides(env: dict[str, str]) -> None:
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert paths.socket_path(env, "linux") == f"{home}/.local/state/zdeferd/run/sock"


def test_without_home_and_user_the_root_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert paths.home_dir({}) == "/"


@pytest.mark.parametrize(("platform", "limit"), [("linux", 107), ("darwin", 103)])
def test_socket_path_limit_counts_bytes(platform: str, limit: int) -> None:
    paths.check_socket_path("/" + "x" * (limit - 1), platform)
    with pytest.raises(UnsafePath, match=f"at most {limit}; set ZDEFERD_SOCKET"):
        paths.check_socket_path("/é" + "x" * (limit - 2), platform)


def test_places_of_files() -> None:
    found = paths.locate({"HOME": "/h"}, platform="linux")
    assert found.config_file == "/h/.config/zdeferd/config.toml"
    assert found.jobs_dir == "/h/.config/zdeferd/jobs.d"
    assert found.state == "/h/.local/state/zdeferd"
    assert found.ledger == "/h/.local/state/zdeferd/ledger.sqlite3"
    assert found.shared_log == "/h/.local/state/zdeferd/deferred.log"


def test_xdg_folders_count_where_absolute() -> None:
    env = {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "state"}
    assert paths.config_dir(env) == "/c/zdeferd"
    assert paths.state_dir(env) == "/h/.local/state/zdeferd"


def test_the_folder_of_caches_is_below_the_home_unless_an_absolute_path_is_named() -> None:
    assert paths.cache_dir({"HOME": "/h", "XDG_CACHE_HOME": "/c"}) == "/c/zdeferd"
    assert paths.cache_dir({"HOME": "/h", "XDG_CACHE_HOME": "c"}) == "/h/.cache/zdeferd"


def test_state_dir_setting_moves_the_state_but_not_what_the_shim_reads() -> None:
    plain, moved = paths.locate({"HOME": "/h"}), paths.locate({"HOME": "/h"}, "/s")
    assert (moved.state, moved.ledger, moved.runs) == ("/s", "/s/ledger.sqlite3", "/s/runs")
    assert moved.socket == plain.socket
    assert moved.autostart == plain.autostart


def test_private_folder_is_made_with_its_parents(home: Path) -> None:
    paths.ensure_private_dir(f"{home}/a/b/c")
    modes = [(home / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")]
    assert modes == [0o700] * 3
    paths.ensure_private_dir(f"{home}/a/b/c")


def test_the_parent_of_each_new_folder_is_synced_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    paths.ensure_private_dir(f"{home}/a/b/c")
    assert synced == [f"{home}", f"{home}/a", f"{home}/a/b"]
    paths.ensure_private_dir(f"{home}/a/b/c")
    assert len(synced) == 3


@pytest.mark.parametrize(("number", "refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synced(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    def fsync(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UnsafePath) if refused else contextlib.nullcontext():
        paths.ensure_private_dir(f"{home}/a")


def test_private_folder_open_to_others_is_refused(home: Path) -> None:
    (home / "open").mkdir()
    (home / "open").chmod(0o755)
    with pytest.raises(UnsafePath, match=f"mode 0755; chmod 700 {home}/open"):
        paths.ensure_private_dir(f"{home}/open")


def test_private_folder_behind_a_symlink_is_refused(home: Path) -> None:
    (home / "real").mkdir(mode=0o700)
    (home / "link").symlink_to("real")
    with pytest.raises(UnsafePath, match="symlinks are not followed here"):
        paths.ensure_private_dir(f"{home}/link")


def test_file_in_the_place_of_a_folder_is_refused(home: Path) -> None:
    (home / "file").touch(mode=0o600)
    with pytest.raises(UnsafePath, match="not a folder"):
        paths.ensure_private_dir(f"{home}/file")
    with pytest.raises(UnsafePath, match=r"cannot make folder: .*Not a directory"):
        paths.ensure_private_dir(f"{home}/file/below")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_foreign_folder_is_refused(home: Path) -> None:
    (home / "theirs").mkdir(mode=0o700)
    os.chown(home / "theirs", 12345, -1)
    with pytest.raises(
        UnsafePath,
        match=r"not owned by you: .*: uid 12345; move it away, or name a place of your own",
    ):
        paths.check_private_dir(f"{home}/theirs")


def test_private_file(home: Path) -> None:
    (home / "file").touch(mode=0o600)
    paths.check_private_file(f"{home}/file")
    (home / "file").chmod(0o640)
    with pytest.raises(UnsafePath, match="mode 0640; chmod 600"):
        paths.check_private_file(f"{home}/file")
    with pytest.raises(UnsafePath, match="cannot look at file"):
        paths.check_private_file(f"{home}/none")
