"""Looks at the structure of zsh code: findings of `lint zsh`, and the registry's self-check."""

from __future__ import annotations

import os
import re
import shutil

from ...errors import ZdeferdError
from ...install.share import share
from ..lint import look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LIMIT_S = 60
_NAME = re.compile(r'^FEATURE_NAME=["\']?([a-z0-9][a-z0-9_-]*)', re.MULTILINE)
_SELF_CHECK = """\
source $1; shift
while (( $# )); do source $1; feature_$2_register; shift 2; done
feature_registry_self_check
"""
"""Arguments: the feature layer, then file and name of each feature. No init runs."""


def violations(paths: Sequence[str]) -> int:
    """Return the number of findings of `lint zsh`. ZdeferdError where it can look at nothing."""
    looked = look(paths)
    if looked.unread:
        raise ZdeferdError(f"cannot read: {looked.unread[0]}", "leave it out")
    return len(looked.findings)


def is_broken(paths: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether the features in these files and folders fail the registry's self-check."""
    found = [pair for path in paths for pair in _features(path)]
    zsh = shutil.which("zsh", path=env.get("PATH"))
    if not found or not zsh:
        return False
    files = [word for pair in found for word in pair]
    layer = share("shell", "features.zsh")
    return _fails([zsh, "-df", "-c", _SELF_CHECK, "zsh", layer, *files], env)


def _features(path: str) -> Iterator[tuple[str, str]]:
    """Yield file and name of each feature in a file, or in the files of a folder."""
    files = [path]
    if os.path.isdir(path):
        files = sorted(f"{path}/{name}" for name in os.listdir(path) if name.endswith(".zsh"))
    for file in files:
        try:
            with open(file, encoding="utf-8", errors="replace") as opened:
                match = _NAME.search(opened.read())
        except OSError:
            continue
        if match and not os.path.basename(file).startswith("_"):
            yield os.path.abspath(file), match[1]


def _fails(words: Sequence[str], env: Mapping[str, str]) -> bool:
    import subprocess

    try:
        done = subprocess.run(
            words,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ZdeferdError(f"it did not end within {LIMIT_S} s: {words[0]}") from None
    return done.returncode != 0
