"""Reads the keys of config.toml, of a job file, and of a shell's declaration of a job.

One row a key: the field that it fills, how its value is read, and what a message says was
expected where it cannot be read. All mistakes of a table are found in one go, each as a
`Problem`; jobs/files.py adds its place in the file. docs/jobs.md and docs/operations.md
list the keys, and tests compare.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..config.conditions import EXPECTED as CONDITIONS_EXPECTED
from ..config.conditions import conditions_of_words, read_conditions
from ..config.problems import Problem, Refused, kind, run_shown, shown
from ..config.units import parse_duration, parse_path, parse_size
from ..config.values import (
    bounded,
    is_id,
    read_flag,
    read_ids,
    read_notify,
    read_retry,
    read_run,
    read_scope,
    read_text,
    read_triggers,
    read_variables,
    read_watch,
    read_whole,
)
from ..model import Argv, Code, Job, Scope, Trigger
from .outputs import beside_output, read_check, read_output, with_check

RETRIES = 3
"""Attempts of a job with `idempotent` and without `attempts`."""
ID_EXPECTED = "an id: lower-case letters, digits and `-`, not `-` first, at most 64"


class Key(NamedTuple):
    """A key that may be set. `read(value, home)` raises ValueError on a bad value."""

    field: str
    expected: str
    read: Callable[[Any, str], object]
    found: Callable[[object], str] | None = None
    """How a message shows a bad value, where that may hold a secret; else `shown`."""


def job_from_table(
    job_id: str, table: object, home: str, source: str
) -> tuple[Job | None, list[Problem]]:
    """Return the job that a table declares, or None and all mistakes in it."""
    if not is_id(job_id):
        return None, [Problem("", shown(job_id), ID_EXPECTED)]
    if not isinstance(table, dict):
        return None, [Problem("", kind(table), f"a table, [{job_id}]")]
    fields, problems = _read_table(table, JOB_KEYS, home)
    if "run" not in table:
        problems.append(Problem("run", "nothing", JOB_KEYS["run"].expected))
    problems += _contradictions(fields, table)
    if problems:
        return None, problems
    return Job(id=job_id, source=source, **with_check(_with_retries(fields))), []


def declared_job(
    *,
    id: str,  # noqa: A002 - the word of the contract
    run: Code | Argv,
    on: Iterable[str],
    once_per: str,
    after: Iterable[str] = (),
    watch: Iterable[str] = (),
    timeout: str = "",
    retry: str = "",
    when: Iterable[str] = (),  # words `KEY=VALUE`
    background: bool = False,
    output: str = "",
    check: str = "",
    flags: Iterable[str] = (),  # keys that are true
    env: Mapping[str, str] | None = None,
    description: str = "",
    call: tuple[str, ...] = (),
    umask: str = "",
) -> Job:
    """Return the job that a shell declares; Refused has the first mistake in it."""
    if not is_id(id):
        raise Refused(Problem("id", shown(id), ID_EXPECTED))
    given = {"timeout": timeout, "retry": retry, "output": output, "check": check}
    table: dict[str, object] = {
        "on": list(on),
        "once_per": once_per,
        "after": list(after),
        "watch": list(watch),
        "background": background,
        "env": dict(env or {}),
        "description": description,
        **({"when": conditions_of_words(when)} if when else {}),
        **{name: value for name, value in given.items() if value},
        **dict.fromkeys(flags, True),
    }
    fields, problems = _read_table(table, JOB_KEYS, "")
    for problem in [*problems, *_contradictions(fields, table)]:
        raise Refused(problem._replace(job=id))
    return Job(id=id, run=run, call=call, umask=umask, **with_check(_with_retries(fields)))


def settings_from_table(
    table: Mapping[str, object], home: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the valid fields of Settings, by their names in the model, and the mistakes."""
    return _read_table(table, SETTING_KEYS, home)


def _read_table(
    table: Mapping[str, object], keys: Mapping[str, Key], home: str
) -> tuple[dict[str, Any], list[Problem]]:
    fields: dict[str, Any] = {}
    problems = []
    for name, value in table.items():
        key = keys.get(name)
        if key is None:
            problems.append(_unknown(name, keys))
            continue
        try:
            fields[key.field] = key.read(value, home)
        except Refused as refused:
            problems += refused.problems
        except (ValueError, msgspec.ValidationError):
            problems.append(Problem(name, (key.found or shown)(value), key.expected))
    return fields, problems


def _unknown(name: str, keys: Mapping[str, Key]) -> Problem:
    import difflib  # slow to import, and needed for a misspelt key only

    near = difflib.get_close_matches(name, keys, n=1)
    expected = f"`{near[0]}`, perhaps" if near else f"one of {', '.join(keys)}"
    return Problem(name, "an unknown key", expected)


def _contradictions(fields: Mapping[str, Any], table: Mapping[str, object]) -> list[Problem]:
    """Return the mistakes between keys that are each valid."""
    out = []
    on_change = fields.get("once_per") is Scope.CHANGE
    if on_change and "watch" not in table:
        out.append(Problem("once_per", "'change' without `watch`", "`watch` to say what changes"))
    elif on_change and fields.get("watch") == ():
        out.append(Problem("watch", "[]", "something to watch, for once_per = 'change'"))
    elif (
        fields.get("watch") and not on_change and ("once_per" in fields or "once_per" not in table)
    ):
        out.append(Problem("watch", "a list to watch", "once_per = 'change' beside it"))
    out += beside_output(fields)
    if fields.get("attempts", 1) > 1 and not fields.get("idempotent", False):
        expected = "idempotent = true beside it (or 1): only such a job is attempted again"
        out.append(Problem("attempts", shown(fields["attempts"]), expected))
    return out


def _with_retries(fields: dict[str, Any]) -> dict[str, Any]:
    return {"attempts": RETRIES, **fields} if fields.get("idempotent") else fields


_DURATION = "a duration such as '20s', '5m', '2h', '90d', or a number of seconds"
_TRIGGERS = ", ".join(f"'{trigger}'" for trigger in Trigger)
_SCOPES = ", ".join(f"'{scope}'" for scope in Scope)
_PATH = "an absolute path, or one that begins with ~/ or $HOME/"
_WATCHED = f"an array of 'command:NAME', 'env:NAME', 'fpath:FOLDER', globs or files, each {_PATH}"

JOB_KEYS: dict[str, Key] = {
    "run": Key(
        "run",
        "zsh code as a string, or a command and its arguments as an array",
        read_run,
        run_shown,
    ),
    "on": Key("on", f"an array of triggers: {_TRIGGERS}", read_triggers),
    "once_per": Key("once_per", f"one of {_SCOPES}", read_scope),
    "watch": Key("watch", _WATCHED, read_watch),
    "after": Key("after", "an array of ids of jobs", read_ids),
    "timeout": Key("timeout_s", f"{_DURATION}, at least 0.1 s", bounded(parse_duration, 0.1)),
    "idempotent": Key("idempotent", "true or false", read_flag),
    "attempts": Key("attempts", "a whole number from 1 to 100", bounded(read_whole, 1, 100)),
    "retry": Key(
        "retry",
        "{ attempts = 3, backoff = '30s' }: 1 to 100 runs, 0.1 s to 1 h before the second",
        read_retry,
    ),
    "background": Key("background", "true or false", read_flag),
    "output": Key("output", f"a file below your home folder: {_PATH}", read_output),
    "empty": Key("empty", "true or false", read_flag),
    "check": Key("check", "'zsh' or 'init'", read_check),
    "compile": Key("compile", "true or false", read_flag),
    "apply": Key("apply", "true or false", read_flag),
    "when": Key("when", CONDITIONS_EXPECTED, read_conditions),
    "env": Key("env", "a table of strings, its keys names of variables", read_variables, kind),
    "description": Key("description", "a string", read_text),
}
"""Every key of a job."""

SETTING_KEYS: dict[str, Key] = {
    "idle_after": Key("idle_after_s", f"{_DURATION}, at least 1 s", bounded(parse_duration, 1)),
    "jobs_at_once": Key("jobs_at_once", "a whole number from 1 to 64", bounded(read_whole, 1, 64)),
    "default_timeout": Key(
        "default_timeout_s", f"{_DURATION}, at least 0.1 s", bounded(parse_duration, 0.1)
    ),
    "kill_grace": Key("kill_grace_s", _DURATION, bounded(parse_duration, 0)),
    "keep_runs": Key("keep_runs_s", f"{_DURATION}, at least 60 s", bounded(parse_duration, 60)),
    "output_limit": Key(
        "output_limit_bytes",
        "a size such as '1MiB', at least 32 KiB",
        bounded(parse_size, 32 << 10),
    ),
    "exit_after": Key("exit_after_s", f"{_DURATION}, at least 1 s", bounded(parse_duration, 1)),
    "log": Key("log", _PATH, parse_path),
    "log_limit": Key(
        "log_limit_bytes", "a size such as '10MiB', at least 4 KiB", bounded(parse_size, 4 << 10)
    ),
    "log_keep": Key("log_keep", "a whole number from 1 to 100", bounded(read_whole, 1, 100)),
    "notify": Key(
        "notify",
        "'off', 'prompt', 'desktop', or a command and its arguments as an array",
        read_notify,
    ),
    "state_dir": Key("state_dir", _PATH, parse_path),
}
"""Every key of config.toml."""
