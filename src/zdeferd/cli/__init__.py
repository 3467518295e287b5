"""zdeferctl: ask and steer zdeferd.

Owns the verbs' names, and prints every failure. Each verb is one module of this package
with `configure(parser)` and `perform(call)`. Only the module of the verb that was asked for
is imported, so that `status` does not load ZeroMQ.

Exit codes: 0 done, 1 the answer is no or the job failed, 2 usage, 3 no daemon;
130 after Ctrl-C. A reader that closes the pipe ends the program silently.
"""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys

from .. import __version__
from ..errors import NoDaemon, ZdeferdError
from ..jobs.environment import absolute_folders
from .codes import DONE, INTERRUPTED, NO, NO_DAEMON, USAGE
from .parsers import verb_parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import ModuleType
    from typing import BinaryIO

VERBS = {
    "status": "is zdeferd running, what runs now, what waits, what is wrong",
    "top": "live: what runs and what it uses, what waits and why",
    "jobs": "every job that is declared, and how its last run ended",
    "runs": "the latest runs, newest first",
    "show": "all that is known of one run: command, times, outcome, cost",
    "log": "the output of a run, or of a job's latest run",
    "why": "what a job waits for, or why it will not run again",
    "simulate": "what would run when, and why not the rest",
    "report": "costs by job and day, failures, time spared; as a page too",
    "run": "run a job now and wait for its end",
    "retry": "run the work of a run that did not succeed once more",
    "cancel": "cancel runs, whether they wait or run",
    "enable": "let events claim jobs again",
    "disable": "switch jobs off: no event claims them",
    "pause": "start no more runs, in a lane or at all; what runs goes on",
    "resume": "start runs again after `pause`",
    "forget": "delete a job's runs, claims and kept outputs",
    "cache": "what `zdefer eval` sources: list it, make it anew, remove it",
    "new": "make a job: a template in your editor, checked before it counts",
    "edit": "edit a job's file; with a mistake in it the old one stays",
    "examples": "example jobs: list them, print one, put it in place",
    "config": "show the settings, or set one",
    "check": "are the settings and the job files valid? all problems at once",
    "reload": "make the daemon read settings and job files again",
    "deps": "which job comes after which, as a picture, JSON or DOT",
    "telemetry": "check a sidecar: are its lines on the allow-list?",
    "lint": "find older log wrappers and raw log lines in zsh files",
    "doctor": "check the way from shell to daemon; a remedy for each finding",
    "install": "put the service and the zsh plugin in place",
    "uninstall": "remove what install put in place; your own files stay",
    "start": "start the daemon",
    "restart": "stop the daemon and start it: after an upgrade",
    "stop": "stop the daemon; running jobs go on",
    "perf": "measure how long shells take to start, and judge it",
    "docs": "keep the README's table of segments in step",
    "demo": "watch it work: private daemon, real shells, example jobs",
}
"""Every verb and its line of help, in the order of `zdeferctl --help`."""

ALIASES = {"logs": "log", "ls": "jobs"}
"""Other names of verbs, as other programs have them."""

READS = frozenset(
    {
        *("status", "jobs", "runs", "show", "log", "why", "simulate"),
        *("report", "check", "deps", "telemetry", "lint"),
    }
)
"""The verbs that only read: they never import ZeroMQ, directly or not."""

_PUT = ("html", "output", "json_out")
"""Options that write a document or a page to a file; `-`: it is the answer."""

_ASCII = dict(zip("…└─▁▂▃▄▅▆▇█µΔ—", "~`-12345678uD-", strict=True))
"""Characters of tables and pictures, and what a terminal without UTF-8 shows for them."""
_MAY_BE_EMPTY = ("drift", "struct")
"""Options whose file may be missing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run zdeferctl; -> its exit code. Prints every failure."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a parent may have blocked what limits need
    _open_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _code(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        _drop_output()
        return _fail(f"{error.strerror or error}: {error.filename or 'input or output'}")
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user, not even of our bugs
        return _fail(
            f"internal error: {type(error).__name__}: {error} ({_place(error)}); please report it"
        )


def _open_streams() -> None:
    """Open closed streams on /dev/null; print what cannot be printed there as `_spelled` has it."""
    codecs.register_error("spelled", _spelled)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            null = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
            setattr(sys, name, null)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="spelled")
    if sys.__stderr__ is not None and sys.stderr is sys.__stderr__:
        errors = os.fdopen(2, "wb", closefd=False)
        sys.stderr = _Complaints(errors, sys.__stderr__.encoding)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII for characters of ours that an encoding lacks, and escapes for all others."""
    assert isinstance(error, UnicodeEncodeError)
    found = error.object[error.start : error.end]
    made = (_ASCII.get(one) or one.encode("ascii", "backslashreplace").decode() for one in found)
    return "".join(made), error.end


class _Complaints(io.TextIOWrapper):
    """Standard error: text that cannot be written there is lost, and changes no exit code."""

    def __init__(self, buffer: BinaryIO, encoding: str) -> None:
        super().__init__(buffer, encoding, "spelled", line_buffering=True)

    def write(self, text: str) -> int:
        """Write, as far as that can be done."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Flush, as far as that can be done."""
        try:
            super().flush()
        except OSError:
            pass


def _drop_output() -> None:
    """Send what is left to /dev/null: Python would fail and complain again at its exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        pass


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere"
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"


def _code(words: list[str]) -> int:
    """Run a verb; -> its exit code, argparse's for --help and a usage error included."""
    try:
        return _run(words)
    except SystemExit as leave:
        return int(leave.code or DONE)


def _run(words: list[str]) -> int:
    words = [ALIASES.get(words[0], words[0]), *words[1:]] if words else words
    if not words or words[0] not in VERBS:
        return _no_verb(words)
    verb, module, rest = _find(words)
    parser = verb_parser(verb, module)
    from .call import Call

    if path := absolute_folders(os.environ.get("PATH", "")):
        os.environ["PATH"] = path  # no program is taken from the folder that one stands in
    # Options may stand between names, unless a name looks like one.
    parse = parser.parse_args if "--" in rest else parser.parse_intermixed_args
    args = parse(_joined(rest))
    for option in filter(args.__contains__, _PUT if args.json else ()):
        if getattr(args, option) == "-":
            named = f"--{option.replace('_', '-')} -"
            parser.error(f"options do not go together: {named} and --json; leave one out")
    _refuse_empty(parser, args)
    call = Call(verb, args, os.environ)
    try:
        return int(module.perform(call))
    except NoDaemon as error:
        return call.failed(str(error), NO_DAEMON)
    except ZdeferdError as error:
        return call.failed(str(error), NO)


def _refuse_empty(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse an option with an empty name of a file or folder, as of a variable that is not set."""
    for action in parser._actions:
        kind = {"FILE": "file", "DIR": "folder"}.get(str(action.metavar))
        given = getattr(args, action.dest, None)
        names = given if isinstance(given, list) else [given]
        if kind and action.dest not in _MAY_BE_EMPTY and "" in names:
            name = [*action.option_strings, action.metavar][0]
            rest = ", or - to print" if action.dest in _PUT else ", or leave it out"
            needed = not action.option_strings and action.nargs is None
            parser.error(f"no {kind} is named: {name}; name one{'' if needed else rest}")


def _joined(words: list[str]) -> list[str]:
    """Return the words, `--sync -12ms` as `--sync=-12ms`: to argparse -12ms is an option."""
    made: list[str] = []
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        named = before.startswith("--") and len(before) > 2 and "=" not in before
        if named and word[:1] == "-" and word[1:2].isdigit() and "--" not in words[:at]:
            made[-1] += f"={word}"
        else:
            made.append(word)
    return made


def _find(words: list[str]) -> tuple[str, ModuleType, list[str]]:
    """Return a verb, its module and its words; of a verb with verbs of its own the inner one."""
    verb, rest = words[0], words[1:]
    module = _load(verb)
    at = next((at for at, word in enumerate(rest) if not word.startswith("-")), len(rest))
    if at < len(rest) and rest[at] in getattr(module, "SUBVERBS", ()):
        inner = rest[at]
        return f"{verb} {inner}", _load(f"{verb}.{inner}"), rest[:at] + rest[at + 1 :]
    return verb, module, rest


def _load(verb: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"{__name__}.{verb}")


def _no_verb(words: list[str]) -> int:
    first = words[0] if words else ""
    if first == "help" and len(words) > 1 and not words[1].startswith("-"):
        asked = ALIASES.get(words[1], words[1])
        if asked not in VERBS:
            return _unknown("verb", words[1])
        verb_parser(asked, _load(asked)).print_help()
        return DONE
    if first in ("-h", "--help", "help"):
        print(usage())
        return DONE
    if first in ("-V", "--version"):
        print(f"zdeferctl {__version__}")
        return DONE
    if not first:
        print(usage(), file=sys.stderr)
        return USAGE
    return _unknown("option" if first.startswith("-") else "verb", first)


def _unknown(kind: str, word: str) -> int:
    from ..view.target import nearest

    hint = nearest(word, VERBS)
    remedy = f"did you mean `zdeferctl {hint}`?" if hint else "`zdeferctl --help` lists them"
    return _fail(f"unknown {kind}: {word}; {remedy}", USAGE)


def usage() -> str:
    """Return the text of `zdeferctl --help`."""
    verbs = "\n".join(f"  {verb:<10} {line}" for verb, line in VERBS.items())
    also = ", ".join(f"{alias} is {verb}" for alias, verb in ALIASES.items())
    return (
        "usage: zdeferctl VERB [options]\n\n"
        "Ask and steer zdeferd, which runs the deferred work of your zsh shells.\n\n"
        f"{verbs}\n\n"
        "`zdeferctl VERB --help` says more, with examples; every verb takes --json.\n"
        f"Other names: {also}.\n"
        "Exit codes: 0 done, 1 the answer is no or the job failed, 2 usage, 3 no daemon.\n"
        "  -h, --help     this help\n"
        "  -V, --version  the version"
    )


def _fail(message: str, code: int = NO) -> int:
    from ..view.render import safe

    print(f"zdeferctl: {safe(message)}", file=sys.stderr)
    return code
