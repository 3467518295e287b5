"""Finds in zsh code how messages should not be written: older wrappers, and log lines by hand.

Pure: text in, findings out. A small lexer marks each character as code, quoted, an expansion or
a comment; the rules look at words of code and at the arguments of `print`, `echo`, `printf`.
Assumes zsh's usual syntax: comments begin a word, here-documents hold no code.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

CODE, QUOTED, EXPANSION, COMMENT = "c", "q", "x", "#"
"""The kind of text that a character is part of."""


class Finding(NamedTuple):
    """A place in a file that a rule is against."""

    line: int
    rule: str
    remedy: str


class Marked(NamedTuple):
    """A text, and of each character its mark."""

    text: str
    marks: str


_WRAPPERS = (
    *("_zf_log", "_zf_warn", "_zf_err", "zf_log", "zf_warn", "zf_err"),
    *("zf_info", "zf_debug", "zf_error", "zf_crit", "zf_fatal"),
)
_WRAPPER = re.compile(rf"(?<![\w:.-])(?:{'|'.join(_WRAPPERS)})(?![\w:-])", re.ASCII)
_SENTINEL = re.compile(r"(?<!\w)ZF_LOG_LEGACY_USED(?!\w)", re.ASCII)
_PRINTS = re.compile(r"(?<![\w:./$-])(?:print|echo|printf)(?=[\s'\"])", re.ASCII)
_TAG = re.compile(r"\[(?:zf|log|info|debug|warn|warning|err|error)\]", re.IGNORECASE)
_MESSAGE = re.compile(r"(?<![\w:.-])zf::(?:log|warn|err)(?:\s*\(\s*\))?\s*\{", re.ASCII)
_DEBUG = re.compile(r"""\[\[ "?\$\{ZSH_DEBUG:-0\}"? ==? 1 \]\]""")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(['\"]?)([\w.-]+)\2")
_PARTS = re.compile(
    r"""(?P<heredoc><<-?[ \t]*['"]?[\w.-]+['"]?)|(?P<escape>\\.)|(?P<dollar>\$'(?:\\.|[^'\\])*')"""
    r"""|(?P<single>'[^']*')|(?P<comment>(?:(?<=[\s;&|])|(?<![^\n]))#[^\n]*)"""
    r"""|(?P<open>\$\{)|(?P<double>")""",
    re.DOTALL,
)


def findings(text: str, rules: Iterable[str] = ()) -> list[Finding]:
    """Return what the rules (all, where none is named) find in a file, in the order of lines."""
    marked = mark(text)
    found = (one for name in rules or RULES for one in RULES[name](marked))
    return sorted(set(found))


def mark(text: str) -> Marked:
    """Return the text with a mark for each character."""
    marks = [CODE] * len(text)
    at = 0
    while match := _PARTS.search(text, at):
        begin, at = match.span()
        kind = match.lastgroup
        if kind == "heredoc":
            begin, at = _heredoc(text, match)
        elif kind in ("open", "double"):
            at = _closed(text, at, "}" if kind == "open" else '"')
        of = {"comment": COMMENT, "open": EXPANSION}.get(kind or "", QUOTED)
        marks[begin:at] = of * (at - begin)
    return Marked(text, "".join(marks))


def _closed(text: str, at: int, close: str) -> int:
    """Return where a double quote or `${` that was opened before `at` ends."""
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == close:
            return at + 1
        elif text.startswith("${", at):
            at = _closed(text, at + 2, "}") - 1
        elif text[at] == "'" and close == "}":
            at = text.find("'", at + 1) if text.find("'", at + 1) > 0 else at
        at += 1
    return len(text)


def _heredoc(text: str, match: re.Match[str]) -> tuple[int, int]:
    """Return the span of a here-document's lines; of nothing for a here-string or a shift."""
    word = _HEREDOC.match(text, match.start())
    begin = text.find("\n", match.end())
    if word is None or begin < 0 or text.startswith("<<<", match.start() - 1):
        return match.end(), match.end()
    tabs = "\t*" if word[1] else ""
    end = re.compile(rf"^{tabs}{re.escape(word[3])}$", re.MULTILINE).search(text, begin)
    return (begin, end.end()) if end else (match.end(), match.end())


# --- rules ---------------------------------------------------------------------


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _words(marked: Marked, pattern: re.Pattern[str]) -> Iterator[int]:
    """Yield where the pattern stands outside of comments."""
    for match in pattern.finditer(marked.text):
        if marked.marks[match.start()] != COMMENT:
            yield match.start()


def _legacy_wrapper(marked: Marked) -> Iterator[Finding]:
    for at in _words(marked, _WRAPPER):
        yield Finding(_line(marked.text, at), "legacy-wrapper", "use zf::log, zf::warn or zf::err")


def _legacy_sentinel(marked: Marked) -> Iterator[Finding]:
    for at in _words(marked, _SENTINEL):
        yield Finding(_line(marked.text, at), "legacy-sentinel", "remove ZF_LOG_LEGACY_USED")


def _raw_log(marked: Marked) -> Iterator[Finding]:
    spans = list(_messages(marked))
    for match in _PRINTS.finditer(marked.text):
        at = match.start()
        # The second character: in `\print`, which no alias changes, the first one is quoted.
        if marked.marks[at + 1] != CODE or any(begin < at < end for begin, end in spans):
            continue
        line_begin = marked.text.rfind("\n", 0, at) + 1
        if _DEBUG.search(marked.text, line_begin, at):
            continue
        if _TAG.search(_arguments(marked, match.end())):
            yield Finding(_line(marked.text, at), "raw-log", "use zf::log, zf::warn or zf::err")


def _messages(marked: Marked) -> Iterator[tuple[int, int]]:
    """Yield the spans of the functions zf::log, zf::warn and zf::err."""
    for match in _MESSAGE.finditer(marked.text):
        depth, at = 1, match.end()
        while at < len(marked.text) and depth:
            if marked.marks[at] == CODE:
                depth += {"{": 1, "}": -1}.get(marked.text[at], 0)
            at += 1
        yield match.start(), at


def _arguments(marked: Marked, at: int) -> str:
    """Return the words of a command from `at` on, without its expansions and their subscripts."""
    end = at
    while end < len(marked.text) and not (
        marked.marks[end] == COMMENT or (marked.marks[end] == CODE and marked.text[end] in "\n;|&")
    ):
        end += 1
    words = marked.text[at:end]
    while (shorter := re.sub(r"\$\{[^{}]*\}|\$[\w+#]+\[[^\]]*\]", "", words)) != words:
        words = shorter
    return words


RULES: dict[str, Callable[[Marked], Iterator[Finding]]] = {
    "legacy-wrapper": _legacy_wrapper,
    "legacy-sentinel": _legacy_sentinel,
    "raw-log": _raw_log,
}
"""Each rule by its name."""
