"""Turns a timestamped trace of zsh into a tree of costs. Pure, but for `events` of a file.

Each command of the trace says when it began, where it stands and how deep the calls are. Until
the next command begins, the time is its own (`self`); what begins deeper belongs to it as well
(`total`). The trace itself costs time for each command: that is measured and subtracted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

MARK = "\x1d"
"""Begins each command of the trace: a character that other output does not have."""
PS4 = f"{MARK}%D{{%s.%9.}}{MARK}%e{MARK}%x{MARK}%I{MARK}%N{MARK}"
_FIELD = f"([^{MARK}]*){MARK}"
_EVENT = re.compile(rf"{MARK}([0-9.]+){MARK}(\d+){MARK}{_FIELD}(\d+){MARK}{_FIELD}")
LONGEST_TEXT = 80
START = "zsh itself"
LEFT_OUT = 0.1
"""The share of a start from which on commands that are not traced matter."""
_ENDS_TRACE = re.compile(r"\bPS4\b|(?i:xtrace)|^set \+[a-z]*x")
_PLUGIN = re.compile(r"/(?:plugins|bundle|bundles|repos|modules|antidote|zinit)/([^/]+)/")


class Event(NamedTuple):
    """A command that began: when (epoch seconds), how deep, and where it stands."""

    at: float
    depth: int
    file: str
    line: int
    function: str
    text: str


@dataclass
class Node:
    """A line of a configuration, reached by one way of calls; times in ms."""

    file: str
    line: int
    text: str
    self_ms: float = 0.0
    times: int = 0
    dearest_ms: float = -1.0
    """The longest that one of its commands took; `text` is that command."""
    children: dict[tuple[str, int], Node] = field(default_factory=dict)

    @property
    def total_ms(self) -> float:
        """Total time: its own, and that of all calls below it."""
        return self.self_ms + sum(child.total_ms for child in self.children.values())

    def sorted(self) -> list[Node]:
        """Return the children, dearest first."""
        return sorted(self.children.values(), key=lambda node: -node.total_ms)

    def walk(self) -> Iterator[Node]:
        """Yield all nodes below."""
        for child in self.children.values():
            yield child
            yield from child.walk()


def cut_off(run: Run) -> Event | None:
    """Return the command that ended the trace, where much of the start came behind it."""
    last = run.events[-1]
    left_out = run.ended - last.at > LEFT_OUT * (run.ended - run.began)
    return last if left_out and _ENDS_TRACE.search(last.text) else None


def events(text: str) -> list[Event]:
    """Return the commands of a trace in the order in which they began.

    A command whose line a fork has copied stands there twice, with one time: it counts once.
    """
    found: dict[tuple[float, int, str, int], Event] = {}
    pieces = _EVENT.split(text)
    for at in range(1, len(pieces), 6):
        when, depth, file, line, function, rest = pieces[at : at + 6]
        one = Event(float(when), int(depth), file, int(line), function, _shown(rest))
        key = (one.at, one.depth, one.file, one.line)
        if key not in found or len(one.text) > len(found[key].text):
            found[key] = one
    return sorted(found.values(), key=lambda event: event.at)


def _shown(rest: str) -> str:
    """Return the command's text, on one line and cut."""
    first = rest.partition("\n")[0].strip()
    return "".join(c if c.isprintable() else " " for c in first)[:LONGEST_TEXT]


class Run(NamedTuple):
    """The commands of one traced start, and from when to when it lasted (epoch seconds).

    `waited_s` is how long it was ready meanwhile but waited for a processor.
    """

    events: list[Event]
    began: float
    ended: float
    waited_s: float = 0.0


def typical(runs: Sequence[Run]) -> Run:
    """Return the quickest run, with the median time of each command over runs of the same ones."""
    cut = [run._replace(events=[e for e in run.events if e.at < run.ended]) for run in runs]
    best = min(cut, key=lambda run: run.ended - run.began)
    same = [run for run in cut if _places(run) == _places(best)]
    took = [_durations(run) for run in same]
    least = [min(one) for one in zip(*took, strict=True)]
    calm = [_calm(one, least, run.waited_s) for one, run in zip(took, same, strict=True)]
    at, made = best.began, []
    for event, *durations in zip([None, *best.events], *calm, strict=True):
        if event:
            made.append(event._replace(at=at))
        at += median_low(durations)
    return Run(made, best.began, at)


def _calm(took: Sequence[float], least: Sequence[float], waited_s: float) -> list[float]:
    """Return durations without the time that their start waited for a processor.

    A wait makes a command take long beyond its least: the longest such times are taken off.
    """
    made = list(took)
    for at in sorted(range(len(made)), key=lambda at: least[at] - took[at]):
        excess = min(waited_s, took[at] - least[at])
        made[at] -= excess
        waited_s -= excess
        if waited_s <= 0:
            break
    return made


def _places(run: Run) -> list[tuple[int, str, int]]:
    return [(event.depth, event.file, event.line) for event in run.events]


def _durations(run: Run) -> list[float]:
    """Return the seconds until the first command, then those of each command."""
    instants = [run.began, *(event.at for event in run.events), run.ended]
    return [after - before for before, after in pairwise(instants)]


def tree(found: Sequence[Event], began: float, ended: float, overhead_ms: float) -> Node:
    """Return the costs from the start of zsh to its first prompt (epoch seconds)."""
    root = Node("", 0, "first prompt")
    own = [event for event in found if began <= event.at < ended]
    first = own[0].at if own else ended
    root.children["", 0] = Node("", 0, START, (first - began) * 1000, 1)
    stack: list[tuple[int, Node]] = [(-1, root)]
    ends = [event.at for event in own[1:]] + [ended]
    for event, after in zip(own, ends, strict=False):
        while stack[-1][0] >= event.depth:
            stack.pop()
        above = stack[-1][1].children
        node = above.setdefault((event.file, event.line), Node(event.file, event.line, event.text))
        took = max(0.0, (after - event.at) * 1000 - overhead_ms)
        node.self_ms += took
        node.times += 1
        if took > node.dearest_ms:
            node.dearest_ms, node.text = took, event.text
        stack.append((event.depth, node))
    return root


class Line(NamedTuple):
    """A line of a file, by whatever way it was reached; times in ms."""

    file: str
    line: int
    text: str
    self_ms: float
    total_ms: float
    times: int


def by_line(root: Node) -> list[Line]:
    """Return each line once, dearest of its own first; calls of itself count once."""
    found: dict[tuple[str, int], Line] = {}
    for node, is_outer in _outer(root, frozenset()):
        key = node.file, node.line
        old = found.get(key, Line(node.file, node.line, node.text, 0.0, 0.0, 0))
        total = old.total_ms + (node.total_ms if is_outer else 0.0)
        found[key] = old._replace(
            self_ms=old.self_ms + node.self_ms, total_ms=total, times=old.times + node.times
        )
    return sorted(found.values(), key=lambda line: (-line.self_ms, line.file, line.line))


def _outer(node: Node, above: frozenset[tuple[str, int]]) -> Iterator[tuple[Node, bool]]:
    for key, child in node.children.items():
        yield child, key not in above
        yield from _outer(child, above | {key})


def by_plugin(lines: Iterable[Line]) -> list[tuple[str, float]]:
    """Return the time that the lines of each plugin's files take, dearest first."""
    found: dict[str, float] = {}
    for line in lines:
        if match := _PLUGIN.search(line.file):
            name = match[1].replace("---", "/")
            found[name] = found.get(name, 0.0) + line.self_ms
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))


# --- hints ---------------------------------------------------------------------

_JOB = "a job can run this after the prompt"
_HINTS = (
    (r"^compinit(?!.* -C)", "compinit -C skips the scan; a job can rebuild the dump once a day"),
    (
        r"^(eval|source <\(|\. <\()",
        'a job with watch = ["command:NAME"] can write this to a file; source that file',
    ),
    (r"nvm\.sh", "load nvm when it is first called, or use its current/bin in PATH"),
    (r"(check_for_upgrade|update_?check|self-update)", 'a job with once_per = "day" can look'),
    (r"^(brew|npm|pyenv|rbenv|kubectl|conda|docker|mise|git) ", _JOB),
)


def hint(text: str) -> str:
    """Return what could be done about a costly command; empty where nothing is known."""
    return next((advice for pattern, advice in _HINTS if re.search(pattern, text)), "")
