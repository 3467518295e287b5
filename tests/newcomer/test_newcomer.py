"""A newcomer's path: a fresh user with umask 002, pipx, the README's first job in a real zsh.

The user is made for the test and removed after it, with all its processes and its home. Nothing
is fetched: `tools/need-wheels` has put what pipx installs into build/newcomer. Assumes root, and
a Python of the system's own that the user can run and that these wheels are for.
"""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.daemon import attempts
from support.pty import PROLOGUE, ZSH
from support.terminal import Terminal

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / "build/newcomer"
PYTHON = "/usr/bin/python3"
README = (ROOT / "README.md").read_text()
LIMIT_S = 300.0


def obstacle() -> str:
    """Why the test cannot be made here; empty: it can."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "root on Linux is needed: a user is made"
    for program in ("useradd", "userdel", "runuser"):
        if not shutil.which(program):
            return f"{program} is missing"
    if not list(WHEELS.glob("pipx-*.whl")):
        return "no pipx: tools/need-wheels fetches it"
    probe = "import ensurepip, sys; print(sys.version_info[:2])"
    done = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=False)
    if done.stdout.strip() != str(sys.version_info[:2]):
        return (
            f"the wheels are for Python {sys.version_info[:2]}, and {PYTHON} is not, or has no venv"
        )
    return ""


pytestmark = [
    pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "-"),
]


class Newcomer:
    """A user of the system who has a shell, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.name = f"zd-{secrets.token_hex(4)}"
        self.home = folder / "home"
        self.unused = folder / "unused"
        """A folder for what a Terminal makes in its home, which is not this user's."""
        self.env = {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": ZSH,
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "PATH": f"{self.home}/.local/bin:{folder}/pipx/bin:/usr/bin:/bin",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{folder}/wheels",
            "PIPX_DEFAULT_PYTHON": PYTHON,
        }
        words = [
            "useradd",
            "--create-home",
            "--home-dir",
            str(self.home),
            "--shell",
            ZSH,
            self.name,
        ]
        subprocess.run(words, check=True, capture_output=True)
        self.uid = pwd.getpwnam(self.name).pw_uid

    def words(self, *command: str) -> list[str]:
        """The words that run a command as the user, in its home, with umask 002."""
        pairs = [f"{name}={value}" for name, value in self.env.items()]
        into = ["sh", "-c", 'umask 002; cd; exec "$@"', "sh"]
        return ["runuser", "-u", self.name, "--", "env", "-i", *pairs, *into, *command]

    def run(self, *command: str, given: str = "") -> str:
        """Run a command as the user; -> what it printed. It must succeed."""
        done = subprocess.run(
            self.words(*command), input=given, capture_output=True, text=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def remove(self) -> None:
        """End the user's processes by their ids, then remove the user."""
        for _ in attempts():
            found = [int(p.name) for p in Path("/proc").glob("[0-9]*") if owner(p) == self.uid]
            if not found:
                break
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        subprocess.run(["userdel", "--remove", self.name], check=True, capture_output=True)


def owner(process: Path) -> int:
    try:
        return process.stat().st_uid
    except OSError:
        return -1


@pytest.fixture
def newcomer() -> Iterator[Newcomer]:
    """The user; pipx, and the wheels with the checkout's own, where the user can read them."""
    folder = Path(tempfile.mkdtemp(prefix="zd.new.", dir="/tmp"))
    folder.chmod(0o755)
    before = os.umask(0o022)
    try:
        furnish(folder)
        made = Newcomer(folder)
        try:
            yield made
        finally:
            made.remove()
    finally:
        os.umask(before)
        shutil.rmtree(folder)


def furnish(folder: Path) -> None:
    wheels = folder / "wheels"
    shutil.copytree(WHEELS, wheels)
    env = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    python = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels))
    quiet(env, *python, str(ROOT))
    quiet(env, PYTHON, "-m", "venv", str(folder / "pipx"))
    quiet(env, f"{folder}/pipx/bin/pip", "install", "pipx")
    for path in [wheels, *wheels.iterdir()]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def quiet(env: Mapping[str, str], *words: str) -> None:
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)


def first_job(language: str) -> str:
    """The README's first job, as it is written in a language."""
    found = re.search(rf"^## A first job\n.*?^```{language}\n(.*?)^```", README, re.M | re.S)
    assert found
    return found[1]


def test_from_pipx_to_the_first_job(newcomer: Newcomer) -> None:
    (zshrc := newcomer.home / ".zshrc").write_text(PROLOGUE)
    os.chown(zshrc, newcomer.uid, newcomer.uid)
    (newcomer.home / "code/thing/.git").mkdir(parents=True)
    (wheel,) = Path(newcomer.env["PIP_FIND_LINKS"]).glob("zdeferd-*.whl")
    assert "\npipx install . " in README
    newcomer.run("pipx", "install", str(wheel))
    newcomer.run("zdeferctl", "install", "--zshrc")
    with Terminal(newcomer.unused, None, argv=newcomer.words(ZSH, "-i")) as shell:
        shell.prompt()
        for line in first_job("zsh").splitlines():
            shell.run(line)
        for _ in attempts(LIMIT_S):  # at each prompt the shell tries to reach its new daemon
            if "succeeded" in shell.run("zdeferctl runs index"):
                break
        assert shell.run("cat ~/.cache/repositories") == f"{newcomer.home}/code/thing"
        write = "mkdir -p ~/.config/zdeferd/jobs.d; cat >~/.config/zdeferd/jobs.d/notes.toml"
        newcomer.run("sh", "-c", write, given=first_job("toml"))
        assert "valid: the settings and 1 job" in shell.run("zdeferctl check")
        for command in ("status", "why index", "runs", "log index"):
            assert f"\nzdeferctl {command} " in README
            assert "zdeferctl:" not in shell.run(f"zdeferctl {command}")
        assert shell.run("zdeferctl doctor").endswith("\nall is well")
    newcomer.run("zdeferctl", "uninstall", "--purge")
    newcomer.run("pipx", "uninstall", "zdeferd")
    assert not (newcomer.home / ".local/share/zdeferd").exists()
    assert not (newcomer.home / ".local/state/zdeferd").exists()
    assert zshrc.read_text() == PROLOGUE
