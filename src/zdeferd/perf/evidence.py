"""Keeps the evidence folder: baselines, counted runs, enforcement and captures.

Every file is replaced whole (written beside, flushed, renamed), under one lock, so that two
processes at once leave both runs counted and a reader finds no half of a file. The default
folder is private to the user; one that is named may be part of a repository.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import ZdeferdError
from ..machine.files import open_regular, write_whole
from ..machine.paths import ensure_private_dir, state_dir
from . import jsontext, reading
from .samples import Baseline

IN_A_REPOSITORY = "artifacts/metrics"
STATE = "perf-state.json"
SIDECAR = "perf-sidecar.jsonl"
STATE_SCHEMA = "zdeferd.perf-state.v1"
SINGLE_BASELINE = "perf-baseline.json"
"""The baseline of `classify --metric`, whichever metric that was."""
KEPT_RUNS = 50
WATCHED = 3
"""Runs to watch after enforcement was switched on."""
GOVERNED = 3
"""Runs of the goal governance that are kept however many others follow."""


class BadBaseline(ZdeferdError):
    """A baseline cannot be used."""

    def __init__(self, found: str) -> None:
        super().__init__(found, "put it right, or move it away: the next run makes one")


class Enforcement(NamedTuple):
    """Since when enforce is the default mode, why, and how many runs were counted since."""

    active: bool = False
    since: str = ""
    reason: str = ""
    watched: int = 0


class State(NamedTuple):
    """The state of the folder; `runs` are status documents, newest last.

    Each run has two keys more: `segments`, its labels, and `synthetic`.
    `rows` are the rows of each log, by its path from the folder, that were added so far.
    """

    runs: tuple[dict[str, Any], ...] = ()
    streak: int = 0
    longest: int = 0
    enforcement: Enforcement = Enforcement()
    rows: Mapping[str, list[str]] = {}

    @property
    def last(self) -> dict[str, Any] | None:
        """The newest run that counts."""
        return self.runs[-1] if self.runs else None


def default_folder(env: Mapping[str, str]) -> str:
    """Return the folder to use where none is named."""
    if os.path.isdir(IN_A_REPOSITORY):
        return IN_A_REPOSITORY
    return f"{state_dir(env)}/perf"


@contextlib.contextmanager
def locked(folder: str, private: bool = False) -> Iterator[None]:
    """Make the folder and hold its lock. ZdeferdError where that fails."""
    try:
        if private:
            ensure_private_dir(folder)
        else:
            os.makedirs(folder, exist_ok=True)
        lock = os.open(
            f"{folder}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise _refused("use the evidence folder", folder, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _refused(what: str, path: str, error: OSError) -> ZdeferdError:
    return ZdeferdError(
        f"cannot {what}: {path}: {error.strerror}", "--baseline-dir names another folder"
    )


def _load(path: str) -> dict[str, Any]:
    with open(path, "rb", opener=open_regular) as file:
        return reading.load_object(file.read(reading.LARGEST_CAPTURE + 1), path)


# --- the state -----------------------------------------------------------------


def load_state(folder: str) -> State:
    """Return what the folder remembers; nothing where there is no file. ZdeferdError."""
    path = f"{folder}/{STATE}"
    try:
        known = _load(path)
        runs = tuple(map(_run, known["runs"]))
        streak, longest = int(known["ok_streak_current"]), int(known["ok_streak_max"])
        enforce = known["enforce"]
        enforcement = Enforcement(
            bool(enforce["active"]), str(enforce["since"]), str(enforce["reason"]),
            int(enforce["watched"]),
        )  # fmt: skip
        rows = {str(log): [str(row) for row in found] for log, found in known["rows"].items()}
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise _refused("read", path, error) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        remedy = "put it right, or move it away to begin anew"
        raise ZdeferdError(f"damaged state: {path}: {error}", remedy) from None
    return State(runs, streak, longest, enforcement, rows)


_NUMBER = (int, float)
_OF_RUN = {
    **dict.fromkeys(("overall_status", "goal", "mode", "generated_at"), str),
    "metrics": dict,
    "segments": list,
    "_debug": dict,
}
_OF_METRIC = {"status": str, **dict.fromkeys(("delta_pct", "mean_ms", "rsd_pct"), _NUMBER)}
"""The keys that are read of a run and of its metrics, with their types."""


def _expect(known: dict[str, Any], kinds: Mapping[str, Any]) -> None:
    """KeyError or TypeError unless all keys are there, each of its type."""
    for key, kind in kinds.items():
        if not isinstance(known[key], kind):
            raise TypeError(f"{key}: {known[key]!r}")


def _run(known: dict[str, Any]) -> dict[str, Any]:
    _expect(known, _OF_RUN)
    _expect(known["_debug"], {"missing_metrics": list})
    for one in known["metrics"].values():
        _expect(one, _OF_METRIC)
        one["values"] = jsontext.AsRead(one["values"])
    return known


def save_state(folder: str, state: State) -> None:
    """Replace what the folder remembers. ZdeferdError."""
    document = {
        "schema": STATE_SCHEMA,
        "ok_streak_current": state.streak,
        "ok_streak_max": state.longest,
        "enforce": state.enforcement._asdict(),
        "rows": dict(state.rows),
        "runs": list(state.runs),
    }
    write_whole(f"{folder}/{STATE}", jsontext.layout(document))


def counted(state: State, overall: str) -> State:
    """Return the state after one more run that counts, before its document is added."""
    streak = state.streak + 1 if overall == "OK" else 0
    enforcement = state.enforcement
    if enforcement.active:
        enforcement = enforcement._replace(watched=min(enforcement.watched + 1, WATCHED))
    return state._replace(
        streak=streak, longest=max(streak, state.longest), enforcement=enforcement
    )


def remember(state: State, document: dict[str, Any]) -> State:
    """Return the state with a run added, and without the values and runs that are too old."""
    older = [_without_values(run) for run in state.runs]
    governed = [at for at, run in enumerate(older) if run.get("goal") == "governance"][-GOVERNED:]
    recent = len(older) - KEPT_RUNS + 1
    kept = [run for at, run in enumerate(older) if at >= recent or at in governed]
    return state._replace(runs=(*kept, document))


def _without_values(run: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: one | {"values": jsontext.AsRead()} for name, one in run["metrics"].items()}
    return run | {"metrics": metrics}


# --- baselines -----------------------------------------------------------------


def baseline_file(metric: str) -> str:
    """Return the name of the file of a metric's baseline."""
    return f"{metric.replace('%', '%25').replace('/', '%2F')}-baseline.json"


def load_baseline(path: str, metric: str) -> Baseline | None:
    """Return a baseline; None where there is no file. BadBaseline where it cannot be used."""
    try:
        known = _load(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadBaseline(f"baseline cannot be read: {path}: {error.strerror}") from None
    except reading.Unreadable as error:
        raise BadBaseline(f"baseline cannot be read: {error.found}") from None
    return _checked(known, path, metric)


def _checked(known: dict[str, Any], path: str, metric: str) -> Baseline:
    name, mean = known.get("metric"), known.get("mean_ms")
    if not isinstance(name, str) or reading.bare(name) != metric:
        raise BadBaseline(f"baseline of another metric: {path}: {name!r}, not {metric}_ms")
    if not reading.is_ms(mean):
        raise BadBaseline(f"baseline cannot be used: {path}: mean_ms {mean!r}")
    values = known.get("values", [])
    if not isinstance(values, list) or not all(map(reading.is_ms, values)):
        raise BadBaseline(f"baseline cannot be used: {path}: values {values!r}")
    median = known.get("median_ms", mean)
    if not reading.is_ms(median):
        raise BadBaseline(f"baseline cannot be used: {path}: median_ms {median!r}")
    return Baseline(mean, median, tuple(values))


def baseline_text(metric: str, run: Mapping[str, Any], created_at: str) -> str:
    """Return the text of a baseline made of a metric of a run."""
    document = {
        "metric": f"{metric}_ms",
        **{key: run[key] for key in ("mean_ms", "median_ms", "stddev_ms", "rsd_pct")},
        "runs": len(run["values"]),
        "created_at": created_at,
        "values": jsontext.AsRead(run["values"]),
    }
    return jsontext.layout(document)


def created_at(path: str) -> str:
    """Return when a baseline was made, as its file says; empty where it does not."""
    with contextlib.suppress(OSError, reading.Unreadable):
        found = _load(path).get("created_at")
        return found if isinstance(found, str) else ""
    return ""


def documents(folder: str) -> list[str]:
    """Return the paths of the JSON files of the folder that are not baselines."""
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if name.endswith(".json")]
        found = [f"{folder}/{name}" for name in names if "-baseline." not in name]
        return list(filter(os.path.isfile, found))
    return []


def baselines(folder: str) -> list[str]:
    """Return the metrics that have a file in the folder, sorted."""
    suffix = "-baseline.json"
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if name != SINGLE_BASELINE]
        found = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
        return sorted(name.replace("%2F", "/").replace("%25", "%") for name in found)
    return []
