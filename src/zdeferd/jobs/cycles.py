"""Finds cycles in `after`: a job that waits for itself, directly or through others."""

from collections.abc import Iterable, Mapping


def find_cycle(edges: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return the ids of one cycle, each waiting for the next, the last for the first; or None.

    `edges` maps a job to the jobs that it waits for; names that are no key have no edges.
    Deterministic in the order of `edges`, and not recursive: a chain may be long.
    """
    done: set[str] = set()
    for start in edges:
        if cycle := _cycle_from(start, edges, done):
            return cycle
    return None


def _cycle_from(start: str, edges: Mapping[str, Iterable[str]], done: set[str]) -> list[str] | None:
    """Return a cycle that `start` reaches; add the ids that reach none to `done`."""
    if start in done:
        return None
    path = {start: iter(edges.get(start, ()))}
    while path:
        current = next(reversed(path))
        after = next(path[current], None)
        if after is None:
            done.add(current)
            del path[current]
        elif after in path:
            ids = list(path)
            return ids[ids.index(after) :]
        elif after not in done:
            path[after] = iter(edges.get(after, ()))
    return None
