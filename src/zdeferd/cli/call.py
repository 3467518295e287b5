"""One call of zdeferctl: its arguments, its environment, and its output.

A verb makes one answer: a document (what `--json` prints) and a text (what people
read). Which of the two is shown, and whether in colour, is decided here and nowhere
else. Answers go to standard output, failures and progress to standard error.
"""

from __future__ import annotations

import sys
import time

from ..view.render import Style, safe, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from ..view.render import Document

JSON_SCHEMA_VERSION = 1
"""Grows when a key of docs/cli-json*.md changes its meaning or goes; new keys do not count."""

_LINE_ANEW = "\x1b[G\x1b[K"
"""The first column, and the line erased (ECMA-48: CHA, EL): a lone CR is always an output's own."""


class Call:
    """Holds the verb, its arguments and the environment, and prints the answer."""

    def __init__(self, verb: str, args: argparse.Namespace, env: Mapping[str, str]) -> None:
        self.verb = verb
        self.args = args
        self.env = env
        self.now = time.time()
        self._is_live = False
        self.style = Style(wants_colour(env, sys.stdout.isatty()))

    def answer(
        self,
        document: Document,
        text: Callable[[Style], str],
        code: int = 0,
        layout: Callable[[Document], str] | None = None,
    ) -> int:
        """Print the document or the text; -> `code`. `layout` is a document's own format."""
        self.end_live()
        if self.args.json and layout:
            print(layout(document), end="")
        elif shown := self.rendered(document, text):
            print(shown)
        return code

    def rendered(self, document: Document, text: Callable[[Style], str]) -> str:
        """Return what `answer` prints."""
        return self._json(document) if self.args.json else safe(text(self.style), self.style.colour)

    def put(self, text: str, path: str) -> bool:
        """Write what an option asks for to its file; True: that is `-`, so it is the answer."""
        if path != "-":
            from ..machine.files import write_whole

            write_whole(path, text)
            return False
        self.end_live()
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())  # as in a file, whatever the locale
        sys.stdout.buffer.flush()
        return True

    def failed(self, message: str, code: int) -> int:
        """Print a failure to standard error, and with `--json` as a document too; -> `code`."""
        self.end_live()
        if self.args.json:
            print(self._json({"error": message, "exit_code": code}))
        print(wrapped(f"zdeferctl: {safe(message)}", _columns(sys.stderr)), file=sys.stderr)
        return code

    def warn(self, message: str) -> None:
        """Print a warning to standard error; the verb goes on."""
        self.end_live()
        print(f"zdeferctl: {safe(message)}", file=sys.stderr)

    @property
    def columns(self) -> int | None:
        """The columns of the terminal that shows the answer; None: there is none."""
        return _columns(sys.stdout)

    @property
    def watched(self) -> bool:
        """True where a person at a terminal waits for the answer."""
        return sys.stderr.isatty() and not self.args.json and self.env.get("TERM") != "dumb"

    def progress(self, line: str) -> None:
        """Print a line of progress, on a terminal only."""
        if self.watched:
            self.end_live()
            print(safe(line), file=sys.stderr, flush=True)

    def live(self, line: str) -> None:
        """Print a line of progress that the next one, or the answer, replaces."""
        if self.watched:
            print(f"{_LINE_ANEW}{safe(line)}", end="", file=sys.stderr, flush=True)
            self._is_live = True

    def end_live(self) -> None:
        """Take the line of `live` off the terminal, where there is one."""
        if self._is_live:
            print(_LINE_ANEW, end="", file=sys.stderr, flush=True)
            self._is_live = False

    def _json(self, document: Document) -> str:
        import json

        head = {"schema_version": JSON_SCHEMA_VERSION, "verb": self.verb}
        return json.dumps({**head, **document}, indent=2, ensure_ascii=True)


def _columns(stream: TextIO) -> int | None:
    """Return the columns of the terminal behind `stream`; None: there is none, or no width."""
    if not stream.isatty():
        return None
    from os import environ, get_terminal_size

    named = environ.get("COLUMNS", "")
    return (int(named) if named.isdigit() else get_terminal_size(stream.fileno()).columns) or None


def wants_colour(env: Mapping[str, str], on_terminal: bool) -> bool:
    """Return whether to use colour: on a terminal that can, unless NO_COLOR is set."""
    return on_terminal and not env.get("NO_COLOR") and env.get("TERM", "dumb") != "dumb"
