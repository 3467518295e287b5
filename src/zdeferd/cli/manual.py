"""Writes the manual pages from what `--help` and `zdefer help` print: zdeferctl, zdefer, zdeferd.

The pages are man(7). Those of zdeferctl and zdeferd come from the argument parsers, that of
zdefer from the text of shell/functions/zdeferd-help, so that a page cannot lag behind.
"""

from __future__ import annotations

import argparse
import re
from importlib import import_module

from .. import __version__
from ..install.share import share
from ..programs import daemon_parser
from . import ALIASES, VERBS
from .parsers import told, verb_parser
from .perf import SUBVERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EXIT_CODES = (
    ("0", "Done, or the answer is yes."),
    ("1", "The answer is no, the job failed, or the call did."),
    ("2", "The arguments are wrong."),
    ("3", "No daemon answers."),
    ("130", "Ctrl-C."),
)
_DAEMON_CODES = (
    ("0", "It was asked to leave, or had nothing to do."),
    ("1", "The start was refused: one line says why."),
    ("3", "Another daemon of this user runs."),
)
_FILES = (
    ("~/.config/zdeferd/config.toml", "The settings; zdeferctl config shows and sets them."),
    ("~/.config/zdeferd/jobs.d/*.toml", "The jobs; zdeferctl new and edit write them."),
    ("~/.local/state/zdeferd/", "The ledger, the outputs of runs and the shared log."),
)
_HELP_COLUMN = 30
"""The column in which `zdefer help` begins what stands beside an option."""


def pages() -> dict[str, str]:
    """Return the text of each page by its path below the folder of manual pages."""
    return {
        "man1/zdeferctl.1": _page("zdeferctl", 1, "ask and steer zdeferd", _zdeferctl()),
        "man1/zdefer.1": _page("zdefer", 1, _about(), _zdefer()),
        "man8/zdeferd.8": _page("zdeferd", 8, "run the deferred work of zsh shells", _zdeferd()),
    }


def _page(name: str, section: int, about: str, lines: Iterable[str]) -> str:
    others = sorted({"zdefer(1)", "zdeferctl(1)", "zdeferd(8)"} - {f"{name}({section})"})
    head = f'.TH {name.upper()} {section} "" "zdeferd {__version__}" "zdeferd"'
    also = [".SH SEE ALSO", *(f".BR {one.replace('(', ' (')} ," for one in others), ".BR zsh (1)"]
    return "\n".join([head, ".SH NAME", f"{name} \\- {text(about)}", *lines, *also]) + "\n"


# --- zdeferctl and zdeferd: from the parsers ----------------------------------------


def _zdeferctl() -> Iterator[str]:
    yield from [".SH SYNOPSIS", ".B zdeferctl", ".I VERB", "[options]", ".SH DESCRIPTION"]
    yield text("Ask and steer zdeferd, which runs the deferred work of your zsh shells.")
    yield from _paragraph("Every verb takes --json and prints one JSON document then.")
    also = " and ".join(f"{alias} is {verb}" for alias, verb in ALIASES.items())
    yield from _paragraph(f"Verbs have other names, too: {also}.")
    yield ".SH VERBS"
    for verb in VERBS:
        yield from _verb(verb, VERBS[verb])
        if verb == "perf":
            for inner, about in SUBVERBS.items():
                yield from _verb(f"perf {inner}", about)
    yield from _codes(_EXIT_CODES)
    yield from _files()


def _verb(verb: str, about: str) -> Iterator[str]:
    module = import_module(f"{__package__}.{verb.replace(' ', '.')}")
    parser = verb_parser(verb, module)
    paragraphs, examples = told(module)
    yield from [f'.SS "{text(verb)}"', text(f"{about[0].upper()}{about[1:]}.".replace("?.", "?"))]
    yield from [".PP", ".B " + text(f"zdeferctl {verb}"), *_usage(parser)]
    for paragraph in paragraphs:
        yield from _paragraph(paragraph)
    yield from _options(parser)
    if more := (parser.epilog or "").partition("examples:")[0].strip():
        yield from _verbatim(more.split("\n"))
    yield from [".PP", "Examples:", *_verbatim(examples)]


def _usage(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the arguments of a call, as the usage line of --help has them."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", parser.format_usage())  # 3.14 has colours on a terminal
    usage = " ".join(plain.split())
    said = usage.removeprefix("usage: ").removeprefix(parser.prog).strip()
    if said:
        yield text(said)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.help is None or action.help == argparse.SUPPRESS or action.dest == "help":
            continue
        named = ", ".join(f"\\fB{text(name)}\\fP" for name in action.option_strings)
        takes = action.nargs != 0
        value = f"\\fI{text(str(action.metavar or action.dest))}\\fP" if takes else ""
        yield from [".TP", " ".join(filter(None, [named, value]))]
        yield text(action.help.replace("%%", "%"))


def _zdeferd() -> Iterator[str]:
    parser = daemon_parser(__version__)
    yield from [".SH SYNOPSIS", ".B zdeferd", *_usage(parser), ".SH DESCRIPTION"]
    yield text(parser.description or "")
    yield from _paragraph(parser.epilog or "")
    yield from _paragraph(
        "zdeferctl install puts the service in place that starts it. It runs in the foreground"
        " under a service manager; SIGTERM ends it, and running jobs go on; SIGHUP has it read"
        " settings and jobs again."
    )
    yield from [".SH OPTIONS", *_options(parser), *_codes(_DAEMON_CODES), *_files()]


def _codes(codes: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in codes:
        yield from [".TP", f".B {code}", text(meaning)]


def _files() -> Iterator[str]:
    yield ".SH FILES"
    for path, content in _FILES:
        yield from [".TP", f".I {text(path)}", text(content)]


# --- zdefer: from the text of its help ------------------------------------------------


def help_text() -> str:
    """Return what `zdefer help` prints."""
    with open(share("shell", "functions", "zdeferd-help"), encoding="utf-8") as file:
        quoted = file.read().split('print -r -- "\\\n', 1)[1].rstrip().removesuffix('"')
    return re.sub(r'\\([\\"$`])', r"\1", quoted)


def _about() -> str:
    return help_text().partition("\n")[0].removeprefix("zdefer: ")


def _zdefer() -> Iterator[str]:
    _, commands, *rest = help_text().split("\n\n")
    yield from [".SH SYNOPSIS", ".B zdefer", ".I VERB", "[options]", ".SH DESCRIPTION"]
    yield from [text(" ".join(rest[0].split())), ".SH VERBS", *_commands(commands)]
    yield from [".SH EXAMPLES", *_verbatim("\n\n".join(rest[1:]).split("\n"))]


def _commands(lines: str) -> Iterator[str]:
    """Yield the verbs with their options: told apart by how far a line is indented."""
    in_option = False
    for line in lines.split("\n"):
        indent, said = len(line) - len(line.lstrip()), line.strip()
        head, beside = line[:_HELP_COLUMN].strip(), line[_HELP_COLUMN:].strip()
        if indent == 2:
            is_whole = line[_HELP_COLUMN - 2 : _HELP_COLUMN] != "  "
            yield f'.SS "{text(said if is_whole else head)}"'
            if not is_whole:
                yield text(beside)
            in_option = False
        elif indent == 8 and said.startswith("-"):
            yield from [".TP", f".B {text(head)}", text(beside)]
            in_option = True
        elif indent < 8 and in_option:
            yield from [".PP", text(said)]
            in_option = False
        else:
            yield text(said)


# --- man(7) ------------------------------------------------------------------------


def text(words: str) -> str:
    """Return words as man(7) has them: nothing in them is a request or an escape."""
    made = words.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    made = made.replace("^", "\\(ha").replace("~", "\\(ti")
    made = re.sub(r"`([^`]+)`", r"\\fB\1\\fP", made).replace("`", "\\(ga").replace('"', "\\(dq")
    return f"\\&{made}" if made.startswith((".", "'")) else made


def _paragraph(words: str) -> Iterator[str]:
    yield from [".PP", text(words)]


def _verbatim(lines: Iterable[str]) -> Iterator[str]:
    yield from [".PP", ".RS 4", ".nf"]
    yield from (text(line) for line in lines)
    yield from [".fi", ".RE"]
