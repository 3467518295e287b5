"""Say whether enforcement has been earned: the criteria A1 to A8, and why each holds or not.

It exits with 1 where one does not hold; one that does not apply, `n/a`, holds too.

Examples:

zdeferctl perf ready

zdeferctl perf ready --readme README.md
"""

from __future__ import annotations

import os
import re

from ...errors import ZdeferdError
from ...machine.files import read_text
from ...perf import evidence
from ...perf.evidence import BadBaseline, baseline_file, load_baseline
from ...view.render import Style
from ..codes import DONE, NO
from .shared import add_folder, answer, folder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ...perf.readiness import Criterion, Outside
    from ..call import Call

_KEY = re.compile(r'"(\w+)":')


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the files that the criteria look at."""
    add_files(parser)
    add_folder(parser)


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add --readme and --privacy."""
    parser.add_argument(
        "--readme", default="README.md", metavar="FILE", help="what A5 looks at (README.md)"
    )
    parser.add_argument("--privacy", metavar="FILE", help="what A7 looks at (zdeferd's own page)")


def perform(call: Call) -> int:
    """Print the criteria; -> 0 where all hold, else 1."""
    found = judge(call, evidence.load_state(folder_of(call)))
    failing = failed(found)
    document = {
        "ready": not failing,
        "failing": failing,
        "criteria": {one.name: {"state": one.state, "why": one.why} for one in found},
    }
    return answer(call, document, lambda style: _text(found, style), NO if failing else DONE)


def judge(call: Call, state: evidence.State) -> tuple[Criterion, ...]:
    """Return A1 to A8 of the evidence folder."""
    from ...perf import readiness

    return readiness.criteria(state.runs, _outside(call, state))


def failed(found: tuple[Criterion, ...]) -> list[str]:
    """Return the names of those that do not hold."""
    return [one.name for one in found if not one.holds]


def _text(found: tuple[Criterion, ...], style: Style) -> str:
    failing = failed(found)
    lines = [f"{one.name} {_painted(one.state, style)} {one.why}" for one in found]
    return "\n".join([*lines, f"not ready: {' '.join(failing)}" if failing else "ready"])


def _painted(state: str, style: Style) -> str:
    from ...perf import readiness

    return style.paint(state, {readiness.YES: "green", readiness.NO: "red"}.get(state, ""))


# --- what files say ------------------------------------------------------------


def _outside(call: Call, state: evidence.State) -> Outside:
    from ...perf.readiness import Outside
    from ...perf.reading import bare
    from .. import docs

    folder = folder_of(call)
    metrics = [bare(key) for key in state.last["metrics"]] if state.last else []
    sidecar = f"{folder}/{evidence.SIDECAR}"
    has_sidecar = os.path.isfile(sidecar)
    return Outside(
        unreadable=[f"{name}_ms" for name in metrics if not _is_readable(folder, name)],
        sidecar_valid=_passes(sidecar) if has_sidecar else None,
        unnamed_keys=_unnamed(sidecar, call.args.privacy) if has_sidecar else None,
        readme_synced=docs.is_synced(docs.SOURCE, call.args.readme),
    )


def _is_readable(folder: str, metric: str) -> bool:
    try:
        return load_baseline(f"{folder}/{baseline_file(metric)}", metric) is not None
    except BadBaseline:
        return False


def _passes(sidecar: str) -> bool:
    """Return whether `telemetry check --strict` accepts a sidecar."""
    from .. import telemetry

    try:
        with open(sidecar, "rb") as file:
            return not telemetry.look(file)[1]
    except OSError:  # `_unnamed` says which
        return False


def _unnamed(sidecar: str, privacy: str | None) -> list[str]:
    """Return the keys of a sidecar that a page does not name."""
    from ...install.share import share

    page = privacy or share("docs", "privacy.md")
    try:
        words = set(re.findall(r"\w+", read_text(page, errors="replace")))
        with open(sidecar, encoding="utf-8", errors="replace") as file:
            keys = {key for line in file for key in _KEY.findall(line)}
    except OSError as error:
        raise ZdeferdError(f"cannot read: {error.filename}: {error.strerror}") from None
    return sorted(keys - words)
