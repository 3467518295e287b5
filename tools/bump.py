"""Sets the project's version in all places: `python tools/bump.py 0.2.0`, or `make bump`.

PLACES lists the files and how each spells the version. The CHANGELOG's [Unreleased] section
becomes the new version's, dated today, below an empty one. Every file is checked before the first
is written: a refusal changes nothing. Standard library only.
"""

import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "src/zdeferd/__init__.py": '__version__ = "{}"',
    "shell/defer/register.zsh": " _zdeferd_version={}\n",
    "packaging/aur/PKGBUILD": "pkgver={}\n",
    "packaging/homebrew/zdeferd.rb": "/v{0}/zdeferd-{0}.tar.gz",
    "packaging/nix/package.nix": '  version = "{}";',
}
"""File -> its text around the version; pyproject.toml reads that of the first."""
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## [Unreleased]\n"
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Refused(Exception):
    """Why no version was set: what failed, the value, and what to do."""


def numbers(version: str) -> tuple[int, ...]:
    """Return the three numbers of a version; refuse what is none."""
    if not (found := VERSION.fullmatch(version)):
        raise Refused(f"not a version: {version}: three numbers, such as 0.2.0")
    return tuple(map(int, found.groups()))


def current(root: Path = ROOT) -> str:
    """Return the version in force, as the package has it."""
    first = next(iter(PLACES))
    found = VERSION.search((root / first).read_text())
    if not found:
        raise Refused(f"no version: {first}: restore the line {PLACES[first]}")
    return found[0]


def astray(version: str, root: Path = ROOT) -> list[str]:
    """Return the places that do not have exactly this version, exactly once."""
    return [
        name
        for name, text in PLACES.items()
        if (root / name).read_text().count(text.format(version)) != 1
    ]


def changelog(text: str, version: str, day: str) -> str:
    """Return the CHANGELOG with [Unreleased] turned into the section of a version."""
    _, mark, after = text.partition(UNRELEASED)
    if not mark or not after.split("\n## [")[0].strip():
        raise Refused(f"nothing to release: {UNRELEASED.strip()} of {CHANGELOG}: write it first")
    return text.replace(UNRELEASED, f"{UNRELEASED}\n## [{version}] - {day}\n", 1)


def bumped(version: str, day: str, root: Path = ROOT) -> dict[str, str]:
    """Return the new text of every file that changes."""
    old = current(root)
    if numbers(version) <= numbers(old):
        raise Refused(f"not newer than {old}: {version}: name a greater one")
    if lost := astray(old, root):
        raise Refused(f"does not have {old} once: {', '.join(lost)}: make them agree first")
    texts = {
        name: (root / name).read_text().replace(text.format(old), text.format(version))
        for name, text in PLACES.items()
    }
    return texts | {CHANGELOG: changelog((root / CHANGELOG).read_text(), version, day)}


def main(words: list[str], root: Path = ROOT) -> int:
    """Set the version that is the only word; return 0, 1 refused, 2 usage."""
    if len(words) != 1:
        print("usage: tools/bump.py VERSION, such as 0.2.0", file=sys.stderr)
        return 2
    try:
        texts = bumped(words[0], datetime.date.today().isoformat(), root)
    except Refused as refused:
        print(f"bump: {refused}", file=sys.stderr)
        return 1
    for name, text in texts.items():
        (root / name).write_text(text)
    print(f"{words[0]} in {', '.join(texts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
