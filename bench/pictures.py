"""Draws the pictures of docs/performance.md with `zdeferctl perf` itself.

    make pictures

Writes compare.svg, trend.svg and blame.svg into docs/performance: the drawing of the page that
each verb makes with --html, of sample configurations that wait for known times. A picture follows
the reader's light or dark setting, as its page does.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from zdeferd.pictures.page import STYLE

FOLDER = Path(__file__).parents[1] / "docs/performance"
PROGRAM = Path(sys.executable).with_name("zdeferctl")
LEVELS = (100, 100, 100, 100, 100, 100, 100, 130, 130, 130, 130, 130)
"""Milliseconds of the configuration, one capture after the other."""
LIMIT_S = 120
DRAWING = re.compile(r"<svg .*?</svg>", re.DOTALL)


def main() -> int:
    """The program."""
    with tempfile.TemporaryDirectory(prefix="zdv.", dir="/tmp") as scratch:
        home = Path(scratch)
        for name, ms in (("before", 100), ("after", 110)):
            _waiting(home / name, ms)
        _perf(home, "compare", "before", "after", "-n", "12", "--html", "compare.html")
        for at, ms in enumerate(LEVELS):
            _waiting(home / "growing", ms)
            _perf(home, "capture", "-n", "3", "--zdotdir", "growing", "--output", f"{at}.json")
        files = [f"{at}.json" for at in range(len(LEVELS))]
        _perf(home, "trend", *files, "--metrics", "first_prompt_lag", "--html", "trend.html")
        _plugins(home / "dots")
        _perf(home, "blame", "dots", "--html", "blame.html")
        for name in ("compare", "trend", "blame"):
            (FOLDER / f"{name}.svg").write_text(_drawing((home / f"{name}.html").read_text()))
    return 0


def _perf(home: Path, verb: str, *words: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color"}
    command = [str(PROGRAM), "perf", verb, *words]
    subprocess.run(
        command, env=env, cwd=home, timeout=LIMIT_S, check=True, stdout=subprocess.DEVNULL
    )


def _waiting(folder: Path, ms: int) -> None:
    """Make a configuration that waits so long."""
    folder.mkdir(exist_ok=True)
    text = f"zmodload zsh/zselect\nzselect -t {ms // 10}\nPROMPT='there> '\n"
    (folder / ".zshrc").write_text(text)


def _plugins(folder: Path) -> None:
    """Make a configuration with plugins and functions that call each other."""
    texts = {
        "plugins/prompt/init.zsh": "load-colours() { zselect -t 2 }\nload-colours\nzselect -t 3\n",
        "plugins/node/versions.zsh": (
            "find-version() {\n  read-folders\n  zselect -t 4\n}\n"
            "read-folders() { zselect -t 6 }\nfind-version\n"
        ),
        ".zshrc": (
            f"zmodload zsh/zselect\nsource {folder}/plugins/prompt/init.zsh\n"
            f"source {folder}/plugins/node/versions.zsh\n"
            "complete-all() {\n  zselect -t 5\n}\ncomplete-all\nPROMPT='there> '\n"
        ),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _drawing(page: str) -> str:
    """Return the drawing of a page as a file of its own; --html gives each page at least one."""
    drawing: str
    (drawing,) = DRAWING.findall(page)
    named = drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return named.replace(">", f"><style>{STYLE}</style>", 1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
