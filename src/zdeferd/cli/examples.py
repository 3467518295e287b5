"""List the example jobs that came with zdeferd, print one, or put it in place.

--install copies the file NAME to jobs.d, where it counts from the next prompt on; a file of
another content that is there already is not touched. `edit JOB` changes it then.

Examples:

zdeferctl examples

zdeferctl examples updates-waiting

zdeferctl examples updates-waiting --install
"""

from __future__ import annotations

import os
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..machine.paths import Paths
    from ..view.render import Style
    from .call import Call


class Example(NamedTuple):
    """A job file that came with zdeferd."""

    name: str
    path: str
    text: str

    @property
    def about(self) -> str:
        """Return its first line, which says what it is for."""
        return self.text.partition("\n")[0].lstrip("# ")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the name and --install; --ids is for completion."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this one")
    from argparse import SUPPRESS

    parser.add_argument("--ids", action="store_true", help=SUPPRESS)
    parser.add_argument("--install", action="store_true", help="put it into jobs.d")


def perform(call: Call) -> int:
    """List the examples, print one or install it; -> 0."""
    from ..errors import ZdeferdError
    from ..view.target import nearest
    from ..view.where import find_paths
    from .codes import USAGE

    paths, found = find_paths(call.env), shipped()
    name = call.args.name
    if name is None and call.args.install:
        return call.failed("--install: no NAME beside it; `zdeferctl examples` lists them", USAGE)
    if call.args.ids:
        for one in found.values():
            print(f"{one.name}:{one.about}")
        return 0
    if name is None:
        return _list(call, paths, found)
    if name not in found:
        hint = nearest(name, found)
        remedy = f"did you mean {hint}?" if hint else "`zdeferctl examples` lists them"
        raise ZdeferdError(f"no such example: {name}", remedy)
    if call.args.install:
        return _install(call, paths, found[name])
    return call.answer(_document(found[name], paths), lambda _: found[name].text.rstrip("\n"))


def shipped() -> dict[str, Example]:
    """Return the examples by their names."""
    from ..install.share import share

    folder = share("examples", "jobs.d")
    found = {}
    for file_name in sorted(os.listdir(folder)):
        name, dot, _ = file_name.partition(".toml")
        if dot:
            with open(f"{folder}/{file_name}", encoding="utf-8") as file:
                found[name] = Example(name, f"{folder}/{file_name}", file.read())
    return found


def _place(example: Example, paths: Paths) -> str:
    return f"{paths.jobs_dir}/{example.name}.toml"


def _document(example: Example, paths: Paths) -> dict[str, object]:
    return {
        "name": example.name,
        "about": example.about,
        "path": example.path,
        "installed": os.path.exists(_place(example, paths)),
        "text": example.text,
    }


def _list(call: Call, paths: Paths, found: dict[str, Example]) -> int:
    from ..view.render import cut, table

    documents = [_document(example, paths) for example in found.values()]
    room = (call.columns or 1000) - max(map(len, found)) - 15

    def text(style: Style) -> str:
        rows = [
            [style.bold(one.name), "yes" * bool(made["installed"]), cut(one.about, max(20, room))]
            for one, made in zip(found.values(), documents, strict=True)
        ]
        listed = table(("NAME", "INSTALLED", "ABOUT"), rows, style)
        return f"{listed}\n{style.dim('print one: zdeferctl examples NAME; take it: --install')}"

    return call.answer({"examples": documents}, text)


def _install(call: Call, paths: Paths, example: Example) -> int:
    from ..errors import ZdeferdError
    from ..machine.paths import check_home
    from ..view.render import home_short, marked
    from .codes import DONE, NO
    from .drafting import content_of, mistakes, put, reload

    check_home(call.env)
    path, wanted = _place(example, paths), example.text.encode()
    if os.path.lexists(path):
        if content_of(path) == wanted:
            said = f"is in place: {home_short(path, paths.home)}"
            return call.answer(_document(example, paths), lambda _: said)
        raise ZdeferdError(f"file exists, with other content: {path}", "edit it, or move it away")
    problems = [str(problem) for problem in mistakes(paths, path, wanted)]
    if problems:
        made = {"problems": problems, **_document(example, paths)}

        def refused(style: Style) -> str:
            word = style.paint("refused", "red")
            return "\n".join(marked(word, problems, call.columns, paths.home))

        return call.answer(made, refused, NO)
    put(path, wanted)
    said = home_short(f"written: {path}; {reload(paths)}", paths.home)
    return call.answer(_document(example, paths), lambda _: said, DONE)
