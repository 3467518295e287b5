"""A zsh without a terminal that loads the plugin, the feature layer or both, and runs code."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SHELL = Path(__file__).parents[2] / "shell"
PLUGIN = SHELL / "zdeferd.plugin.zsh"
FEATURES = SHELL / "features.zsh"
BOTH = (PLUGIN, FEATURES)
LIMIT_S = 200.0


def run_zsh(
    code: str,
    home: Path,
    env: Mapping[str, str] | None = None,
    load: tuple[Path, ...] = BOTH,
    before: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run `before`, the files to `load`, and `code` in a `zsh -f`; return how it ended."""
    script = home / "script.zsh"
    sources = "".join(f"'builtin' 'source' {path}\n" for path in load)
    script.write_text(f"{before}\n{sources}{code}\n")
    return subprocess.run(
        ["zsh", "-f", script],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"} | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
