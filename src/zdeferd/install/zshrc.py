"""Reads and changes the text of a `.zshrc`, as far as the line that loads the plugin goes.

A line counts as far as its comment: `#` ends the code, also where zsh would see it inside
quotes. Functions and conditions around a line are not looked into.
"""

import re

_PLUGIN = "zdeferd.plugin.zsh"
_CALLS = re.compile(r"(zdefer|zf::defer::register|zf::idle::\w+)(\s|$)")


def lines_of(path: str) -> list[str]:
    """Return the file's lines, with their ends; none where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readlines()
    except OSError:
        return []


def sources_shim(line: str) -> bool:
    """Return whether the line loads the plugin's file, from any folder."""
    return _PLUGIN in _code_of(line)


def calls_shim(line: str) -> bool:
    """Return whether the line, run by itself, needs the plugin to be loaded."""
    return _CALLS.match(line) is not None


def loads_shim(path: str) -> bool:
    """Return whether the file loads the plugin, by our line or by a plugin manager's."""
    return any("zdeferd" in _code_of(line) for line in lines_of(path))


def called_too_early(path: str) -> int:
    """Return the number of a line that calls the plugin above its loading; 0: there is none."""
    lines = lines_of(path)
    loads = next((at for at, line in enumerate(lines, 1) if sources_shim(line)), 0)
    return next((at for at, line in enumerate(lines[:loads], 1) if calls_shim(line)), 0)


def with_line(text: str, line: str, mark: str) -> str:
    """Return `text` with `line` and its mark above the first line that needs it.

    In the place of one with the mark; as it is, where another line loads the plugin.
    """
    lines = _lines(text)
    added = f"{line}  {mark}"
    loading = [at for at, line in enumerate(lines) if sources_shim(line)]
    marked = [at for at in loading if lines[at].rstrip().endswith(mark)]
    if marked:
        lines[marked[0]] = f"{added}\n"
    if loading:
        return "".join(lines)
    above = next((at for at, line in enumerate(lines) if calls_shim(line)), len(lines))
    while 0 < above < len(lines) and lines[above - 1].endswith("\\\n"):  # it goes on in the next
        above -= 1
    if above == len(lines) and lines and not text.endswith("\n"):
        lines[-1] += "\n"
    if above == len(lines) and text.endswith("\\\n"):
        added = f"\n{added}"
    lines.insert(above, f"{added}\n")
    return "".join(lines)


def without_line(text: str, mark: str) -> str:
    """Return `text` without the lines that end with `mark`."""
    lines = _lines(text)
    return "".join(line for line in lines if not line.rstrip().endswith(mark))


def _lines(text: str) -> list[str]:
    """Return the lines as zsh has them, with their ends: a form feed, say, ends none."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _code_of(line: str) -> str:
    return line.partition("#")[0]
