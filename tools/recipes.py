"""Makes the files of a release that stand beside wheel and sdist.

`python tools/recipes.py SDIST HOME FOLDER` writes to FOLDER the recipes of packaging/ with the
address of the project and the sum of the sdist filled in, and notes.md: the CHANGELOG's section
of the sdist's version. Standard library only.
"""

import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILLED = ("packaging/aur/PKGBUILD", "packaging/homebrew/zdeferd.rb")


def section(version: str, text: str) -> str:
    """Return what the CHANGELOG says of a version; empty: nothing."""
    found = re.search(
        rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def fill(text: str, home: str, digest: str) -> str:
    """Return a recipe's text with the project's address and the sdist's sum."""
    return text.replace("@home@", home).replace("@sha256@", digest)


def main(words: list[str], root: Path = ROOT) -> int:
    """Write recipes and notes; return 0, 1 where they cannot be made, 2 usage."""
    if len(words) != 3:
        print("usage: tools/recipes.py SDIST HOME FOLDER", file=sys.stderr)
        return 2
    sdist, home, folder = Path(words[0]), words[1], Path(words[2])
    version = sdist.name.removeprefix("zdeferd-").removesuffix(".tar.gz")
    notes = section(version, (root / "CHANGELOG.md").read_text())
    if not notes:
        print(f"recipes: not in CHANGELOG.md: {version}: set it by `make bump`", file=sys.stderr)
        return 1
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILLED:
        path = root / name
        (folder / path.name).write_text(fill(path.read_text(), home, digest))
    (folder / "notes.md").write_text(f"{notes}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
