"""The rules of the socket and the state folder, in the shim and in Python, over environments.

(tests of zdeferctl and of the daemon hold theirs to `paths.socket_path`, which is one.)
"""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from shell.conftest import PLUGIN

from zdeferd.machine.paths import locate, socket_in_force, socket_path, state_dir

ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"HOME": "/home/u"},
    {"HOME": ""},
    {"HOME": "relative"},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1000"},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": ""},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": "run/user"},
    {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/with space/"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "/tmp/s"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "", "XDG_RUNTIME_DIR": "/run/user/1"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "s", "XDG_RUNTIME_DIR": "/run/user/1"},
    {"HOME": "/home/u", "ZDEFERD_SOCKET": "~/s"},
    {"HOME": "/home/u", "XDG_STATE_HOME": "/elsewhere"},
    {"HOME": "/home/ü\udcff*[x]", "LANG": "C.UTF-8"},
    {"HOME": "/", "ZDEFERD_SOCKET": "/a//b/../c"},
]
LOADED = f"source {PLUGIN}; autoload -Uz $_zdeferd_root/functions/zdeferd-socket"
"""As defer/visit.zsh has it in the first visit."""
PLATFORMS = {"linux": "linux-gnu", "darwin": "darwin23.0"}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("number", range(len(ENVIRONMENTS)))
def test_the_shim_finds_the_socket_that_python_finds(number: int, platform: str) -> None:
    env = ENVIRONMENTS[number] | {"PATH": os.environ["PATH"]}
    code = f"{LOADED}; OSTYPE={PLATFORMS[platform]}; zdeferd-socket; print -rn -- $REPLY"
    if "HOME" not in env:
        code = f"unset HOME; {code}"
    found = subprocess.run(["zsh", "-fc", code], env=env, capture_output=True, check=True)
    assert found.stderr == b""
    assert os.fsdecode(found.stdout) == socket_path(env, platform)


def test_a_parameter_that_is_not_exported_is_not_seen_by_either() -> None:
    code = f"{LOADED}; ZDEFERD_SOCKET=/x XDG_RUNTIME_DIR=/y; zdeferd-socket; print $REPLY"
    env = {"HOME": "/home/u", "PATH": os.environ["PATH"]}
    found = subprocess.run(
        ["zsh", "-fc", code], env=env, capture_output=True, check=True, text=True
    )
    assert found.stdout.strip() == socket_path(env, "linux")


def found_by_the_shim(env: dict[str, str]) -> str:
    code = f"{LOADED}; zdeferd-socket; print -rn -- $REPLY"
    found = subprocess.run(
        ["zsh", "-fc", code],
        env=env | {"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    assert found.stderr == b""
    return os.fsdecode(found.stdout)


POINTERS = {
    "right": True,
    "own socket": False,
    "named": False,
    "relative": False,
    "no file": False,
    "no socket": False,
    "symlink": False,
    "socket is a symlink": False,
    "other state folder": True,
}


@pytest.mark.parametrize("case", POINTERS)
def test_the_pointer_leads_both_to_the_same_socket(home: Path, case: str) -> None:
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": f"{home}/editor"}
    if case == "other state folder":
        env["XDG_STATE_HOME"] = f"{home}/state"
    pointer, there = Path(state_dir(env)) / "socket", home / "run/sock"
    for folder in (pointer.parent, there.parent, home / "editor/zdeferd"):
        folder.mkdir(parents=True)
    text = {"relative": "run/sock", "no socket": str(home)}.get(case, str(there))
    if case != "no file":
        pointer.write_text(f"{text}\n")
    if case == "symlink":
        pointer.rename(home / "elsewhere")
        pointer.symlink_to(home / "elsewhere")
    if case == "named":
        env["ZDEFERD_SOCKET"] = f"{home}/named"
    with socket.socket(socket.AF_UNIX) as bound, socket.socket(socket.AF_UNIX) as own:
        bound.bind(str(there))
        if case == "own socket":
            own.bind(f"{home}/editor/zdeferd/sock")
        if case == "socket is a symlink":
            there.rename(home / "moved")
            there.symlink_to(home / "moved")
        expected = str(there) if POINTERS[case] else socket_path(env, "linux")
        assert socket_in_force(locate(env, platform="linux"), env) == expected
        assert found_by_the_shim(env) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
@pytest.mark.parametrize("given", [".local/state/zdeferd/socket", "run/sock", "run"])
def test_the_pointer_of_somebody_else_leads_nobody(home: Path, given: str) -> None:
    env = {"HOME": str(home)}
    pointer, there = home / ".local/state/zdeferd/socket", home / "run/sock"
    pointer.parent.mkdir(parents=True)
    there.parent.mkdir()
    pointer.write_text(f"{there}\n")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(there))
        os.chown(home / given, 12345, 12345)
        assert socket_in_force(locate(env, platform="linux"), env) == socket_path(env, "linux")
        assert found_by_the_shim(env) == socket_path(env, "linux")


@pytest.mark.parametrize(
    "env",
    [
        {"HOME": "/home/u"},
        {"HOME": "/home/u", "XDG_STATE_HOME": ""},
        {"HOME": "/home/u", "XDG_STATE_HOME": "state"},
        {"HOME": "/home/u", "XDG_STATE_HOME": "/s p/*"},
        {"HOME": "/home/u", "ZDEFERD_SOCKET": "/x", "XDG_RUNTIME_DIR": "/y"},
    ],
)
def test_the_shim_finds_the_state_folder_that_python_finds(env: dict[str, str]) -> None:
    visit = PLUGIN.parent / "defer/visit.zsh"
    code = f"{LOADED}; source {visit}; .zdeferd-state; print -rn -- $REPLY"
    found = subprocess.run(
        ["zsh", "-fc", code],
        env=env | {"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
        text=True,
    )
    assert found.stdout == state_dir(env)
    assert found.stderr == ""
