"""Looks at the structure of zsh code: findings of `lint zsh`, and the registry's self-check."""

from __future__ import annotations

import os
import re
import shutil
import sys

from ...errors import ZdeferdError
from ...install.share import share
from ..codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
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
    import json

    words = [sys.executable, "-m", "zdeferd.cli", "lint", "zsh", "--json", "--", *paths]
    done = _run(words, os.environ)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = {"error": done.stderr.decode(errors="replace").strip()}
    if done.returncode not in (DONE, NO) or "error" in document:
        raise ZdeferdError(str(document.get("error", "lint failed")))
    return len(document["findings"])


def is_broken(paths: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether the features in these files and folders fail the registry's self-check."""
    found = [pair for path in paths for pair in _features(path)]
    zsh = shutil.which("zsh", path=env.get("PATH"))
    if not found or not zsh:
        return False
    files = [word for pair in found for word in pair]
    layer = share("shell", "features.zsh")
    return _run([zsh, "-df", "-c", _SELF_CHECK, "zsh", layer, *files], env).returncode != DONE


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


def _run(words: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    import subprocess

    try:
        return subprocess.run(
            words,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ZdeferdError(f"it did not end within {LIMIT_S} s: {words[0]}") from None
