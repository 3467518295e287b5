"""Say whether zdeferd runs, what runs and waits now, and what is wrong.

Reads the ledger, never the daemon: it answers at once, with or without one.
A service that starts zdeferd on demand lets it exit when there is nothing to do,
so `not running` is no failure and the exit code is 0 either way.
"""

from __future__ import annotations

from .. import __version__
from ..ledger.reading import View, reading
from ..machine.lock import daemon_pid
from ..view.health import DAY_S, problems
from ..view.live import as_found, live_cost
from ..view.render import Style, ago, fields, home_short, printable
from ..view.runs import document, runs_table, word
from ..view.where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..machine.paths import Paths
    from ..view.render import Document
    from .call import Call

_NOW = ("running", "cancelling", "waiting", "ended", "vanished")


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def perform(call: Call) -> int:
    """Print the status; -> 0."""
    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        live = as_found(view.live_runs(), paths)
        found = _document(paths, view, live, call.now)
    if call.args.json:  # people see the table, which has no room for it
        for run, row in zip(found["live_runs"], live, strict=True):
            run["live_cost"] = live_cost(row, paths)
    return call.answer(found, lambda style: _text(found, live, paths, call.now, style))


def _document(paths: Paths, view: View, live: list[Document], now: float) -> Document:
    pid = daemon_pid(paths.lock)
    shells = view.shells()
    return {
        "version": __version__,
        "daemon": {"running": pid is not None, "pid": pid or None},
        "socket": paths.socket,
        "state_dir": paths.state,
        "ledger": view.exists,
        "live_runs": [document(row) for row in live],
        "outcomes_24h": view.outcomes(now - DAY_S),
        "shells": shells["shells"],
        "last_visit_at_s": shells["seen_at"],
        "last_prompt_at_s": shells["prompted_at"],
        "problems": [str(trouble) for trouble in problems(paths, view, now)],
    }


def _text(found: Document, live: list[Document], paths: Paths, now: float, style: Style) -> str:
    def short(path: str) -> str:
        return printable(home_short(path, paths.home))

    parts = [
        fields(
            [
                ("daemon", _daemon(found["daemon"], style)),
                ("now", _tally([word(row) for row in live])),
                ("24 hours", _outcomes(found["outcomes_24h"], style)),
                ("shells", _shells(found, now)),
                ("socket", short(paths.socket)),
                ("state", short(paths.state)),
            ],
            style,
        )
    ]
    if live:
        parts += ["", runs_table(live, now, style)]
    if found["problems"]:
        parts += [""] + [f"{style.paint('!', 'red')} {short(p)}" for p in found["problems"]]
    return "\n".join(parts)


def _daemon(daemon: Document, style: Style) -> str:
    if not daemon["running"]:
        return style.paint("not running", "yellow") + f"  {style.dim('zdeferctl ' + __version__)}"
    pid = f"pid {daemon['pid']}" if daemon["pid"] else "starting"
    return f"{style.paint('running', 'green')}, {pid}"


def _tally(words: list[str]) -> str:
    kinds = [(kind, words.count(kind)) for kind in _NOW]
    return ", ".join(f"{n} {kind}" for kind, n in kinds if n) or "nothing runs, nothing waits"


def _outcomes(outcomes: dict[str, int], style: Style) -> str:
    shown = [f"{n} {style.state(name)}" for name, n in sorted(outcomes.items(), key=_most)]
    return ", ".join(shown) or "no run ended"


def _most(item: tuple[str, int]) -> int:
    return -item[1]


def _shells(found: Document, now: float) -> str:
    if not found["shells"]:
        return "none has visited yet"
    return f"{found['shells']} seen, last {ago(found['last_visit_at_s'], now)}"
