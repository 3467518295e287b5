"""Where this user's zdeferd lives, settings included, found without reading them whole.

Only `state_dir` moves anything. Most users have no config.toml, and then the answer
costs nothing; else the file is read for that one key. A broken file moves nothing:
`check` and `doctor` say what is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..paths import Paths, locate


def find_paths(env: Mapping[str, str]) -> Paths:
    """Every path, with the setting `state_dir` honoured."""
    paths = locate(env)
    setting = _state_dir(paths.config_file, paths.home)
    return locate(env, setting) if setting else paths


def _state_dir(config_file: str, home: str) -> str:
    try:
        with open(config_file, "rb") as file:
            data = file.read()
    except OSError:
        return ""
    if b"state_dir" not in data:
        return ""
    import tomllib

    try:
        setting = tomllib.loads(data.decode()).get("state_dir", "")
    except ValueError:
        return ""
    if not isinstance(setting, str):
        return ""
    if setting == "~" or setting.startswith("~/"):
        setting = home + setting[1:]
    return setting if os.path.isabs(setting) else ""
