"""Asks a new zsh which folder its start-up files are in.

Text does not tell: ZDOTDIR may be set in /etc/zshenv or .zshenv, without being exported.
"""

import subprocess
from collections.abc import Mapping

STARTUP = (".zshenv", ".zprofile", ".zshrc", ".zlogin")
"""The start-up files of a user. Where there is none, zsh begins a dialogue."""
MARK, END = "zdeferd-asks\x1f", "\x1fzdeferd-asked"
"""They stand around an answer: start-up files may print, too."""
_ZDOTDIR = 'print -r -- "$1${ZDOTDIR-}$2"'


def zdotdir(zsh: str, env: Mapping[str, str], limit_s: float) -> str | None:
    """Return the folder that ZDOTDIR names in a new shell; None: it could not be asked in time.

    Empty where it names none, or the shell gave no answer.
    """
    try:
        done = subprocess.run(
            [zsh, "-c", _ZDOTDIR, "zsh", MARK, END],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer(done.stdout) or ""


def answer(data: bytes) -> str | None:
    """Return what stands between the marks in what a shell has printed; None: no answer."""
    text = data.decode("utf-8", "surrogateescape")
    _, mark, rest = text.rpartition(MARK)
    found, end, _ = rest.partition(END)
    return found if mark and end else None
