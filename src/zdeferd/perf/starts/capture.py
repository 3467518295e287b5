"""Captures cold starts: samples, the segments that they wrote, and the document of both.

A sample without a prompt in time is tried again, then left out and counted; none is copied or
invented. The logs of a sample are private files in a folder that goes at the end. The shells
talk to the daemon that the environment names, and start none.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from ...errors import ZdeferdError
from ...machine.paths import MEASURING, locate, socket_in_force
from ...machine.processes import as_in_multiplexer
from ...machine.zsh import zdotdir as zdotdir_of
from .. import reading, samples
from ..jsontext import AsRead
from .lags import Shell, sample, tried
from .terminal import Late

CONTEXT = "cold"
ZSHENV_S = 10.0
_TOTALS = reading.FIRST_CHOICE
_FEATURE = "feature/"
_ERROR = re.compile(r"^ERROR level=(?:ERROR|CRITICAL|FATAL) module=(\S+)$", re.MULTILINE)


class Plan(NamedTuple):
    """The options of a capture; durations in seconds."""

    starts: int = 5
    pause_s: float = 0.0
    zdotdir: str = ""
    limit_s: float = 10.0
    retries: int = 2
    segments: bool = True


class Captured(NamedTuple):
    """The samples of a capture, why others failed, and the last sidecar.

    `broken` are the modules, features among them, that logged an error.
    """

    lags: list[dict[str, float]]
    logs: list[dict[str, tuple[str, float]]]
    broken: set[str]
    failures: list[Late]
    sidecar: str


class NoSample(ZdeferdError):
    """No sample was authentic."""


def find_zsh(env: Mapping[str, str]) -> str:
    """Return the path of zsh. ZdeferdError."""
    if found := shutil.which("zsh", path=env.get("PATH")):
        return found
    raise ZdeferdError("zsh is not on PATH", "install it")


def environment(env: Mapping[str, str], zdotdir: str, log: str, segments: bool) -> dict[str, str]:
    """Return the environment of the shells of one sample."""
    made = as_in_multiplexer(env)
    made = {name: value for name, value in made.items() if not name.startswith("PERF_SEGMENT_")}
    made |= {
        "PERF_SAMPLE_CONTEXT": CONTEXT,
        "PERF_SEGMENT_LOG": log,
        "ZDEFERD_AUTOSTART": "0",
        "TERM": env.get("TERM", "").replace("dumb", "") or "xterm-256color",
    }
    if here := _here(env.get("PWD", "")):
        made["PWD"] = here
    if zdotdir:
        made["ZDOTDIR"] = os.path.abspath(zdotdir)
    if segments:
        made |= {
            "PERF_SEGMENT_JSON_LOG": f"{log}.jsonl",
            "ZSH_LOG_STRUCTURED": "1",
            "ZSH_FEATURE_TELEMETRY": "1",
        }
    return made


def _here(given: str) -> str:
    """Return the PWD that a terminal gives its shell; "" where the folder is gone.

    With a wrong one, or none, zsh reads all folders above to find the name of its own.
    """
    plain = os.path.isabs(given) and os.path.normpath(given) == given
    with suppress(OSError):
        if plain and os.path.samefile(given, "."):
            return given
    with suppress(OSError):
        return os.getcwd()
    return ""


def check_zdotdir(zsh: str, env: Mapping[str, str], zdotdir: str, name: str = "") -> None:
    """ZdeferdError where zsh, started with this folder, reads its .zshrc from another one.

    So it is where /etc/zshenv, or the folder's own .zshenv, sets ZDOTDIR whatever it is.
    """
    wanted = os.path.abspath(zdotdir)
    found = zdotdir_of(zsh, environment(env, zdotdir, os.devnull, False), ZSHENV_S)
    real = os.path.realpath(found or wanted)  # without an answer the starts will tell
    if not f"{real}/".startswith(f"{os.path.realpath(wanted)}/"):
        raise ZdeferdError(
            f"zsh would read {found}/.zshrc, and not the one of {name or zdotdir}",
            "name that folder, or have .zshenv keep a ZDOTDIR that is set: : ${ZDOTDIR:=…}",
        )


def capture(plan: Plan, env: Mapping[str, str], progress: Callable[[str], None]) -> Captured:
    """Measure cold starts; NoSample where not one succeeded."""
    zsh, socket = find_zsh(env), socket_in_force(locate(env), env)
    if plan.zdotdir:
        check_zdotdir(zsh, env, plan.zdotdir)
    found = Captured([], [], set(), [], "")
    with tempfile.TemporaryDirectory(prefix=MEASURING) as folder:
        for number in range(plan.starts):
            progress(f"cold start {number + 1} of {plan.starts}")
            log = f"{folder}/{number}"
            own = environment(env, plan.zdotdir, log, plan.segments)
            shell = Shell(zsh, own, log, plan.limit_s)
            try:
                found.lags.append(tried(shell, plan.retries, partial(sample, shell, socket)))
            except Late as late:
                found.failures.append(late)
            else:
                found.logs.append(_segments(log))
                found.broken.update(_ERROR.findall(_text(log)))
                found = found._replace(sidecar=_text(f"{log}.jsonl") or found.sidecar)
            if plan.pause_s and number + 1 < plan.starts:
                time.sleep(plan.pause_s)
    if not found.lags:
        last = found.failures[-1]
        raise NoSample(f"no authentic sample of {plan.starts}: {last.found}", last.remedy)
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _segments(log: str) -> dict[str, tuple[str, float]]:
    """Return the segments of one sample: label -> its phase and its first value."""
    if not os.path.exists(log):
        return {}
    phases = reading.phases(log)
    data = reading.read(log, phases)
    return {label: (phases.get(label, "core"), values[0]) for label, values in data.values.items()}


# --- the document --------------------------------------------------------------


def document(found: Captured, plan: Plan, generated_at: str) -> dict[str, Any]:
    """Return the capture as a document, its keys in the contract's order."""
    labels = sorted({label for log in found.logs for label in log})
    by_label = {label: [log[label][1] for log in found.logs if label in log] for label in labels}
    phase = {label: log[label][0] for log in found.logs for label in log}
    lags = {name: _present(found.lags, name) for name in reading.LAGS}
    measured = {name: values for name, values in lags.items() if values}
    measured |= {name: by_label[name] for name in _TOTALS if name in by_label}
    features = [label for label in labels if label.startswith(_FEATURE)]
    return {
        "schema": reading.SCHEMA,
        "generated_at": generated_at,
        "requested": plan.starts,
        "samples": len(found.lags),
        "failed": len(found.failures),
        "context": CONTEXT,
        "metrics": {f"{name}_ms": _metric(measured[name]) for name in sorted(measured)},
        "segments": [_segment(label, phase[label], by_label[label]) for label in labels],
        "features": [_feature(label, by_label[label], found.broken) for label in features],
    }


def _present(samples_found: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [one[name] for one in samples_found if name in one]


def _metric(values: Sequence[float]) -> dict[str, Any]:
    figures = samples.summary(values)
    return {
        "mean": float(figures.mean),
        "min": float(figures.minimum),
        "max": float(figures.maximum),
        "median": float(figures.median),
        "p95": float(figures.p95),
        "stddev": figures.stddev,
        "rsd_pct": figures.rsd,
        "values": AsRead(values),
    }


def _segment(label: str, phase: str, values: Sequence[float]) -> dict[str, Any]:
    figures = samples.summary(values)
    return {
        "label": label,
        "phase": phase,
        "samples": len(values),
        "mean_ms": float(figures.mean),
        "min_ms": float(figures.minimum),
        "max_ms": float(figures.maximum),
        "values": AsRead(values),
    }


def _feature(label: str, values: Sequence[float], broken: set[str]) -> dict[str, Any]:
    figures = samples.summary(values)
    name = label.removeprefix(_FEATURE)
    return {
        "name": name,
        "status": "error" if name in broken else "ok",
        "samples": len(values),
        "mean_ms": float(figures.mean),
        "max_ms": float(figures.maximum),
        "values": AsRead(values),
    }
