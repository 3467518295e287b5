"""Show the settings, or one of them, or set one in config.toml.

Without KEY: all, with their values and where these come from. With KEY: its value alone. With
KEY and VALUE: it is checked and written, other lines and comments stay as they are, and a
running daemon reads it at once. VALUE is written as in the file, quotes may be left out. --unset
takes the key out: the default holds then.

Examples:

zdeferctl config

zdeferctl config idle_after

zdeferctl config idle_after 2m

zdeferctl config idle_after --unset
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from ..config.problems import Problem
    from ..machine.paths import Paths
    from ..view.render import Document, Style
    from .call import Call


class Shown(NamedTuple):
    """A setting as a file would have it."""

    key: str
    value: object
    default: object
    is_set: bool
    """True: by the file; else the default holds."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the key, the value and --unset; --ids is for completion."""
    from argparse import SUPPRESS

    add = parser.add_argument
    add("--ids", action="store_true", help=SUPPRESS)
    add("key", metavar="KEY", nargs="?", help="show this setting alone")
    add("value", metavar="VALUE", nargs="?", help="set it to this")
    add("--unset", action="store_true", help="take it out of the file")


def perform(call: Call) -> int:
    """Show or set; -> 0, or 1 where the key or its value is wrong."""
    from ..view.where import find_paths
    from .codes import USAGE

    args, paths = call.args, find_paths(call.env)
    if args.ids:
        from ..jobs.keys import SETTING_KEYS

        print("\n".join(SETTING_KEYS))
        return 0
    if args.unset and (args.key is None or args.value is not None):
        return call.failed("--unset: no KEY, or a VALUE too; zdeferctl config KEY --unset", USAGE)
    if args.value is not None or args.unset:
        return _set(call, paths)
    return _show(call, paths)


# --- showing -------------------------------------------------------------------


def _show(call: Call, paths: Paths) -> int:
    from ..config.problems import in_order
    from ..config.toml_edit import written
    from ..jobs.files import load
    from ..view.render import home_short, marked, printable, table
    from .codes import DONE, NO

    found = shown(paths)
    problems = in_order(p for p in load(paths).problems if p.file == paths.config_file)
    if call.args.key is not None:
        one = found[_known(call.args.key, found)]
        value = one.value if isinstance(one.value, str) else written(one.value)
        return call.answer(_document(one), lambda _: printable(value))

    def text(style: Style) -> str:
        rows = [
            [style.bold(one.key), printable(written(one.value)), _origin(one, paths)]
            for one in found.values()
        ]
        lines = [table(("KEY", "VALUE", "FROM"), rows, style)]
        lines += marked(style.paint("refused", "red"), map(str, problems), call.columns, paths.home)
        return home_short("\n".join(lines), paths.home)

    document = {
        "settings": [_document(one) for one in found.values()],
        "config_file": paths.config_file,
        "problems": [str(problem) for problem in problems],
    }
    return call.answer(document, text, NO if problems else DONE)


def _origin(one: Shown, paths: Paths) -> str:
    from ..config.toml_edit import written

    return f"{paths.config_file} (default {written(one.default)})" if one.is_set else "default"


def _document(one: Shown) -> Document:
    return {"key": one.key, "value": one.value, "default": one.default, "set": one.is_set}


def shown(paths: Paths) -> dict[str, Shown]:
    """Return every setting in the order of the keys; one that is refused has its default."""
    from ..jobs.keys import SETTING_KEYS, settings_from_table
    from ..settings import Settings

    table = _table(_text(paths))
    valid = settings_from_table(table, paths.home)[0]
    found = {}
    for name, key in SETTING_KEYS.items():
        default = in_words(key.field, getattr(Settings(), key.field))
        is_set = name in table and key.field in valid
        found[name] = Shown(name, table[name] if is_set else default, default, is_set)
    return found


def in_words(field: str, value: object) -> object:
    """Return the value of a field as a file has it: `1m` for 60 seconds, `1MiB` for 2**20."""
    from ..config.units import BYTES, SECONDS

    units: Mapping[str, float] = {}
    if field.endswith("_s"):
        units = {unit: SECONDS[unit] for unit in ("d", "h", "m", "s")}
    elif field.endswith("_bytes"):
        units = {unit: BYTES[unit.lower()] for unit in ("GiB", "MiB", "KiB", "B")}
    if isinstance(value, int | float) and not isinstance(value, bool):
        for unit, size in units.items():
            if value >= size and value % size == 0:
                return f"{value / size:.0f}{unit}"
    return value


def _known(key: str, known: Mapping[str, object]) -> str:
    """Return the key; ZdeferdError where there is none of that name."""
    from ..errors import ZdeferdError
    from ..view.target import nearest

    if key in known:
        return key
    hint = nearest(key, known)
    remedy = f"did you mean {hint}?" if hint else "`zdeferctl config` lists them"
    raise ZdeferdError(f"no such setting: {key}", remedy)


def _text(paths: Paths) -> str:
    """Return the text of config.toml; ZdeferdError where it cannot be read."""
    from ..errors import ZdeferdError
    from ..machine.files import open_regular, read_text

    try:
        return read_text(paths.config_file, newline="", opener=open_regular)
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise ZdeferdError(f"not UTF-8: {paths.config_file}", "see `zdeferctl check`") from None
    except OSError as error:
        found = f"cannot read: {paths.config_file}: {error.strerror}"
        raise ZdeferdError(found, "see `zdeferctl check`") from None


def _table(text: str) -> dict[str, object]:
    """Return the table that a text is; an empty one where it is no TOML."""
    from ..config.problems import Refused
    from ..config.toml_lines import parse

    try:
        return parse(text)
    except Refused:
        return {}


# --- setting -------------------------------------------------------------------


def _set(call: Call, paths: Paths) -> int:
    from ..config.toml_edit import with_key, without_key, written
    from ..errors import ZdeferdError
    from ..jobs.keys import SETTING_KEYS
    from ..machine.paths import check_home
    from ..view.render import home_short
    from .drafting import mistakes, put, reload

    check_home(call.env)
    args, key = call.args, _known(call.args.key, SETTING_KEYS)
    text = _text(paths)
    try:
        value = None if args.unset else _value(key, args.value, paths.home)
        made = without_key(text, key) if args.unset else with_key(text, key, value)
    except ZdeferdError as error:
        raise _of_file(error, paths) from None
    for problem in mistakes(paths, paths.config_file, made.encode()):
        if problem.key == key:  # others were there before
            raise ZdeferdError(str(problem))
    if made != text:
        put(paths.config_file, made.encode())
    one = shown(paths)[key]
    now = f"{key} = {written(one.value)}{'' if one.is_set else ', the default'}"
    told = reload(paths) if made != text else "as before"
    more = "; zdeferctl restart moves it" if key == "state_dir" and made != text else ""
    said = home_short(f"{now} ({paths.config_file}); {told}{more}", paths.home)
    return call.answer(_document(one), lambda _: said)


def _of_file(error: Exception, paths: Paths) -> Exception:
    """Return the error, of a file that cannot be changed with the file's name."""
    from ..config.problems import Refused

    if not isinstance(error, Refused) or error.problems[0].file:
        return error
    return Refused(*(_placed(problem, paths) for problem in error.problems))


def _placed(problem: Problem, paths: Paths) -> Problem:
    return problem._replace(file=paths.config_file)


def _value(key: str, text: str, home: str) -> object:
    """Return the value that a word means for a key: TOML, else the word itself. ZdeferdError."""
    import tomllib

    from msgspec import ValidationError

    from ..config.problems import shown as seen
    from ..errors import ZdeferdError
    from ..jobs.keys import SETTING_KEYS

    meant: list[object] = []
    if "\n" not in text:
        try:
            meant = list(tomllib.loads(f"value = {text}").values())
        except (tomllib.TOMLDecodeError, ValueError, RecursionError):
            meant = []
    for value in (*meant, text):
        try:
            SETTING_KEYS[key].read(value, home)
        except (ValueError, ValidationError):
            continue
        return value
    raise ZdeferdError(f"not a value of {key}: {seen(text)}; expected {SETTING_KEYS[key].expected}")
