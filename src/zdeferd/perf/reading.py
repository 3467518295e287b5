"""Reads captures and logs: the values of metrics as they stand in a file.

A capture begins with `{`; all else is a log of plain lines, whose grammar is that of
telemetry/lines.py (a test compares them). Lines of other programs, half lines and numbers out
of range are passed over, and carriage returns too. A log is read in blocks: memory grows with
the values that are kept, not with the file.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Iterator
from typing import IO, Any, NamedTuple, TypeGuard

from ..errors import ZdeferdError

SCHEMA = "zdeferd.perf-capture.v1"
FIRST_CHOICE = ("prompt_ready", "pre_plugin_total", "post_plugin_total", "deferred_total")
SECOND_CHOICE = ("first_prompt_lag", "command_lag")
LAGS = ("first_prompt_lag", "first_command_lag", "command_lag", "input_lag", "exit_time")
BLOCK = 1 << 20
LONGEST_LINE = 4096
LARGEST_CAPTURE = 64 << 20
MS_LIMIT = 10**15
HEAD = 512
"""Bytes in which a capture says what it is, and when it was made."""
MOST_LABELS = 10_000
"""Labels remembered of one log."""

_LABEL = rb"[a-z0-9][a-z0-9._:/+-]{0,63}"
_INT = rb"(?:0|[1-9][0-9]{0,15})"
_LINE = (
    rb"(?m)^(?:SEGMENT name=(?P<label>" + _LABEL + rb") ms=(?P<ms>" + _INT + rb")"
    rb" phase=(?:pre_plugin|post_plugin|prompt|postprompt|core|idle)"
    rb" sample=[A-Za-z0-9_.-]{1,64}"
    rb"|(?P<marker>(?:PRE|POST)_PLUGIN_COMPLETE|PROMPT_READY_COMPLETE) (?P<old>" + _INT + rb")"
    rb"|POST_PLUGIN_SEGMENT (?P<part>" + _LABEL + rb") (?P<took>" + _INT + rb")"
    rb"|(?P<synthetic>#SYNTHETIC_FALLBACK_INSERTED=1))\r?$"
)
_PHASE = rb"(?m)^SEGMENT name=(" + _LABEL + rb") ms=" + _INT + rb" phase=(\w+) sample="
_HEAD = (
    rb'\s*\{\s*"schema"\s*:\s*"' + re.escape(SCHEMA).encode() + rb'"\s*,\s*'
    rb'"generated_at"\s*:\s*"([0-9TZ:.+-]+)"'
)
"""Patterns as text: `re` compiles each at its first use, which takes longer than this import."""
_MARKERS = {
    b"PRE_PLUGIN_COMPLETE": "pre_plugin_total",
    b"POST_PLUGIN_COMPLETE": "post_plugin_total",
    b"PROMPT_READY_COMPLETE": "prompt_ready",
}


class Unreadable(ZdeferdError):
    """A file is no capture and no log, or cannot be read."""


class Feature(NamedTuple):
    """The timings of one feature in a capture."""

    name: str
    status: str
    samples: int
    mean_ms: float
    max_ms: float


class Data(NamedTuple):
    """The values of a file by metric, without `_ms` in the names.

    `samples` and `generated_at` are a capture's; of a log 0 and empty.
    """

    values: dict[str, list[float]]
    labels: tuple[str, ...] = ()
    samples: int = 0
    synthetic: bool = False
    generated_at: str = ""
    features: tuple[Feature, ...] = ()


def bare(metric: str) -> str:
    """Return a metric's name without `_ms`."""
    return metric.removesuffix("_ms")


def is_metric(name: str) -> bool:
    """Return whether a name can be a metric's: those of segments."""
    return re.fullmatch(_LABEL, name.encode()) is not None


def default_metrics(values: Collection[str]) -> tuple[str, ...]:
    """Return the metrics to judge where none are named."""
    return FIRST_CHOICE if any(name in values for name in FIRST_CHOICE[:3]) else SECOND_CHOICE


def read(path: str, keep: Collection[str] = ()) -> Data:
    """Return what a capture or a log holds; of a log the metrics in `keep` and the usual ones.

    Unreadable where it can be neither.
    """
    try:
        with open(path, "rb") as file:
            first = file.read(BLOCK)
            if first.lstrip()[:1] == b"{":
                return parse_capture(first + file.read(LARGEST_CAPTURE), path)
            return _read_log(file, first, {*FIRST_CHOICE, *LAGS, *keep})
    except OSError as error:
        raise Unreadable(f"cannot read: {path}: {error.strerror}") from None


def newest(paths: Iterable[str], count: int) -> list[Data]:
    """Return the last so many captures of files, oldest first; other files are passed over.

    Only these are read whole. Unreadable where one of them is damaged.
    """
    dated = sorted((when, path) for path in paths if (when := _dated(path)) is not None)
    return [read(path) for _when, path in dated[-count:]]


def _dated(path: str) -> str | None:
    """Return when a capture was made; None for a file that is no capture."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            if match := re.match(_HEAD, head):
                return match[1].decode()
            if SCHEMA.encode() not in head:
                return None
            return parse_capture(head + file.read(LARGEST_CAPTURE), path).generated_at
    except OSError as error:
        raise Unreadable(f"cannot read: {path}: {error.strerror}") from None


def phases(path: str) -> dict[str, str]:
    """Return the labels of the segments of a small log, and the phase of each. OSError."""
    with open(path, "rb") as file:
        found = re.findall(_PHASE, file.read(BLOCK))
    return {label.decode(): phase.decode() for label, phase in found}


# --- logs ----------------------------------------------------------------------


def _read_log(file: IO[bytes], first: bytes, keep: Collection[str]) -> Data:
    kept = {name: array("q") for name in keep}
    legacy = {name: array("q") for name in keep}
    labels: set[str] = set()
    synthetic = False
    for block in _whole_lines(file, first):
        for match in re.finditer(_LINE, block):
            found = match.lastgroup
            if found == "ms":
                label = match["label"].decode()
                if len(labels) < MOST_LABELS:
                    labels.add(label)
                _keep(kept, label, match["ms"])
            elif found == "old":
                _keep(legacy, _MARKERS[match["marker"]], match["old"])
            elif found == "took":
                _keep(legacy, match["part"].decode(), match["took"])
            else:
                synthetic = True
    values = {name: list[float](kept[name] or legacy[name]) for name in kept}
    measured = {name: found for name, found in values.items() if found}
    return Data(measured, tuple(sorted(labels)), synthetic=synthetic)


def _keep(kept: dict[str, array[int]], name: str, digits: bytes) -> None:
    if name in kept and int(digits) <= MS_LIMIT:
        kept[name].append(int(digits))


def _whole_lines(file: IO[bytes], first: bytes) -> Iterator[bytes]:
    """Yield blocks that end at the end of a line; a line that is too long is left out."""
    block, rest = first, b""
    while block:
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = block[cut:]
        else:
            rest = (rest + block)[: LONGEST_LINE + 1]
        block = file.read(BLOCK)
    yield rest


# --- captures ------------------------------------------------------------------


def parse_capture(text: bytes, path: str) -> Data:
    """Return what the text of a capture holds; Unreadable names what is wrong with it."""
    document = load_object(text, path)
    if document.get("schema") != SCHEMA:
        raise Unreadable(f"not a capture: {path}: schema {document.get('schema')!r}")
    try:
        return _capture(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise Unreadable(f"damaged capture: {path}: {what}") from None


def load_object(text: bytes, path: str) -> dict[str, Any]:
    """Return a JSON object; Unreadable where the text is none."""
    import json

    if len(text) > LARGEST_CAPTURE:
        raise Unreadable(f"too large: {path}: more than {LARGEST_CAPTURE} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {path}: {error}") from None
    if not isinstance(document, dict):
        raise Unreadable(f"not a JSON object: {path}")
    return document


def _capture(document: dict[str, Any]) -> Data:
    segments = document.get("segments", [])
    values = {one["label"]: _numbers(one["label"], one["values"]) for one in segments}
    labels = tuple(sorted(values))
    for key, one in document["metrics"].items():
        values[bare(key)] = _numbers(key, one["values"])
    features = [
        Feature(str(one["name"]), str(one["status"]), one["samples"], one["mean_ms"], one["max_ms"])
        for one in document.get("features", [])
    ]
    for feature in features:
        _numbers(feature.name, [feature.mean_ms, feature.max_ms])
    samples = document["samples"]
    if type(samples) is not int or samples < 0:
        raise ValueError(f"samples: {samples!r}")
    measured = {name: found for name, found in values.items() if found}
    generated_at = str(document["generated_at"])
    return Data(measured, labels, samples, False, generated_at, tuple(features))


def _numbers(name: str, values: list[Any]) -> list[float]:
    for value in values:
        if not is_ms(value):
            raise ValueError(f"{name}: {value!r}: expected milliseconds")
    return values


def is_ms(value: object) -> TypeGuard[float]:
    """Return whether a value can be milliseconds: a number, not negative, not huge, not NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= MS_LIMIT
