"""Selects the variables of a shell that reach its jobs: those of a list, and exported ones that a
job's code mentions.

The shim cuts by the same list before it sends anything; a test compares the two.
A job names each further variable that it needs: `env` in its file, `--env` in the shell.
"""

import re
from collections.abc import Mapping

ALLOWED_ENV = frozenset(
    """
    PATH HOME USER LOGNAME SHELL LANG TZ TMPDIR ZDOTDIR
    SSH_AUTH_SOCK DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS
    http_proxy https_proxy ftp_proxy all_proxy no_proxy
    HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
    PERF_SEGMENT_LOG PERF_SEGMENT_JSON_LOG PERF_SAMPLE_CONTEXT
    ZSH_LOG_STRUCTURED ZSH_PERF_JSON
    ZSH_IDLE_ENABLE ZSH_IDLE_HARD_BUDGET_MS ZSH_IDLE_TASK_TIMEOUT_MS
    """.split()  # noqa: SIM905 - thirty quoted names hide what is on the list
)
ALLOWED_PREFIXES = ("LC_", "XDG_")


def allowed_env(name: str) -> bool:
    """Return whether the variable `name` of a shell reaches its jobs."""
    return name in ALLOWED_ENV or name.startswith(ALLOWED_PREFIXES)


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OF_ZSH = frozenset({"_", "PWD", "OLDPWD", "SHLVL"})
_SECRET = re.compile("TOKEN|SECRET|KEY|PASS", re.IGNORECASE)


def mentioned(text: str, exported: Mapping[str, str]) -> dict[str, str]:
    """Return those of the `exported` variables that a job has because `text`, its code, names them.

    Not those that every job has, nor what may be a secret by its name: `--env` alone takes that.
    """
    if not exported:
        return {}
    named = _NAME.findall(text)
    return {
        name: exported[name]
        for name in dict.fromkeys(named)
        if name in exported
        and name not in _OF_ZSH
        and not allowed_env(name)
        and not _SECRET.search(name)
    }


def cut_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return `env` without what is not allowed, and without the relative folders of PATH."""
    kept = {name: value for name, value in env.items() if allowed_env(name)}
    if path := absolute_folders(kept.pop("PATH", "")):
        kept["PATH"] = path
    return kept


def absolute_folders(path: str) -> str:
    """Return a PATH without its relative folders, which may leave nothing.

    These (`.`, and an empty one too) mean whatever folder one is in. A job is in another
    than its shell was, and would find programs there that nobody meant; so would zdeferctl.
    """
    return ":".join(folder for folder in path.split(":") if folder.startswith("/"))
