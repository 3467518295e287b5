"""Looks are taken beside the loop: a slow or stuck one holds up nobody but its own job."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.daemon import LIMIT_S
from support.dispatching import dispatching

from zdeferd.inputs import Inputs
from zdeferd.jobs.fingerprint import Unseen
from zdeferd.model import Code, Job, Scope, inputs_of
from zdeferd.runs import looks
from zdeferd.runs.looks import Look, Looks, Seen, look_of

QUICK, STUCK, BAD = (Look((f"/{name}",), "") for name in ("quick", "stuck", "bad"))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Looks at a path with `stuck` in it end once this is set; those at `bad` fail."""
    opened = threading.Event()

    def look_at(watch: tuple[str, ...], env: Mapping[str, str]) -> Inputs:
        if "stuck" in watch[0]:
            assert opened.wait(LIMIT_S)
        if "bad" in watch[0]:
            raise Unseen("too many files")
        return Inputs(watch[0])

    monkeypatch.setattr(looks, "look_at", look_at)
    monkeypatch.setattr(looks, "WAIT_S", 0.05)
    yield opened
    opened.set()


@pytest.fixture
def patient(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks are waited for as long as any test may take: all of them come in time."""
    monkeypatch.setattr(looks, "WAIT_S", LIMIT_S)


class Late:
    """What was reported, and said."""

    def __init__(self) -> None:
        self.reported: asyncio.Queue[tuple[Seen, list[str]]] = asyncio.Queue()
        self.said: list[str] = []

    def __call__(self, seen: Seen, nonces: Iterable[str]) -> None:
        self.reported.put_nowait((seen, list(nonces)))


def texts(seen: Seen) -> dict[Look, str]:
    return {look: inputs.fingerprint for look, inputs in seen.items()}


def taking() -> tuple[Looks, Late]:
    late = Late()
    return Looks(asyncio.get_running_loop(), late, late.said.append), late


def watching(*watch: str, **fields: Any) -> Job:
    return Job(id="a", run=Code("true"), once_per=Scope.CHANGE, watch=watch, **fields)


def test_a_look_depends_on_the_path_only_where_a_command_is_watched() -> None:
    for word, path in (("/a", ""), ("command:a", "/bin")):
        job = watching(word)
        assert look_of(job, {"PATH": "/bin"}) == Look(inputs_of(job), path)


def test_a_look_depends_on_the_variables_that_are_watched() -> None:
    job, env = watching("env:A", "env:NO"), {"A": "1", "B": "2"}
    assert look_of(job, env) == Look(inputs_of(job), "", (("A", "1"),))


def test_a_look_depends_on_where_the_output_is() -> None:
    job = watching("/a", output="$C/made", compile=True)
    assert look_of(job, {"C": "/c"}).made == ("/c/made", "/c/made.zwc")
    assert look_of(job, {}).made == (), "without a value there is no such file"


@pytest.mark.asyncio
@pytest.mark.usefixtures("patient")
async def test_a_quick_look_is_taken_anew_each_time() -> None:
    taken, late = taking()
    for _ in range(2):
        assert texts(await taken.see({QUICK})) == {QUICK: "/quick"}
    assert not taken._taken
    assert late.reported.empty()


@pytest.mark.asyncio
async def test_a_stuck_look_is_given_up_once_and_reported_when_it_ends(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, wait = [], asyncio.wait

    async def until_the_first(ended: list[asyncio.Future[None]], **limit: float) -> None:
        """The wait ends with the quick look, however long that takes."""
        waits.append(limit)
        await wait(ended, timeout=LIMIT_S, return_when=asyncio.FIRST_COMPLETED)

    monkeypatch.setattr(asyncio, "wait", until_the_first)
    taken, late = taking()
    assert texts(await taken.see({QUICK, STUCK}, "n1")) == {QUICK: "/quick"}
    assert await taken.see({STUCK}, "n2") == {}
    assert waits == [{"timeout": looks.WAIT_S}], "not waited for again"
    gate.set()
    seen, missed = await asyncio.wait_for(late.reported.get(), LIMIT_S)
    assert (texts(seen), missed) == ({STUCK: "/stuck"}, ["n1", "n2"])
    gate.clear()
    assert texts(await taken.see({STUCK})) == {STUCK: "/stuck"}, "a slow look is kept for a while"


@pytest.mark.asyncio
async def test_stuck_threads_leave_room_for_others(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "STUCK_S", 0.01)
    taken, _ = taking()
    many = [Look((f"/stuck-{number}",), "") for number in range(3 * looks.AT_ONCE)]
    assert await taken.see(many) == {}
    monkeypatch.setattr(looks, "WAIT_S", LIMIT_S)
    assert texts(await taken.see({QUICK})) == {QUICK: "/quick"}


@pytest.mark.asyncio
@pytest.mark.usefixtures("patient")
async def test_a_failure_is_said_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, late = taking()
    for _ in range(2):
        assert await taken.see({BAD}, "n1") == {}
    assert late.said == ["cannot look at what a job watches: too many files"]
    monkeypatch.setattr(looks, "KEEP_S", 0.0)
    monkeypatch.setattr(looks, "look_at", lambda watch, env: Inputs("seen"))
    assert texts(await taken.see({BAD})) == {BAD: "seen"}
    seen, missed = await late.reported.get()
    assert (texts(seen), missed) == ({BAD: "seen"}, ["n1"]), "who missed it is not forgotten"


@pytest.mark.asyncio
async def test_without_a_thread_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(**_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(looks, "Thread", none_left)
    taken, late = taking()
    assert await taken.see({QUICK}) == {}
    assert "no process is left" in late.said[0]


JOBS = """
[stuck]
run = "true"
once_per = "change"
watch = ["/stuck"]
[other]
run = "true"
"""


@pytest.mark.asyncio
@pytest.mark.parametrize("trigger", ["postprompt", "idle"])
async def test_a_job_that_cannot_be_seen_waits_alone(
    home: Path, gate: threading.Event, trigger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_ended, ended = asyncio.Event(), Looks._ended

    def note_end(self: Looks, look: Look, found: Inputs | None, reason: str) -> None:
        ended(self, look, found, reason)
        look_ended.set()

    monkeypatch.setattr(Looks, "_ended", note_end)
    jobs = JOBS.replace("once_per", f'on = ["{trigger}"]\nonce_per', 1)
    jobs = jobs.replace("[other]\n", f'[other]\non = ["{trigger}"]\n')
    async with dispatching(home, jobs=jobs) as bench:
        await bench.visit()
        await bench.visit(event=b"idle") if trigger == "idle" else None
        assert await bench.rows("SELECT DISTINCT job FROM runs") == [("other",)]
        gate.set()
        await asyncio.wait_for(look_ended.wait(), LIMIT_S)
        if trigger == "idle":  # until the look has ended, an idle event goes without it
            await bench.visit(event=b"idle")
        await bench.until("SELECT count(*) FROM runs WHERE job = 'stuck'", [(1,)])


@pytest.mark.asyncio
async def test_a_shell_s_own_job_waits_to_be_seen(home: Path, gate: threading.Event) -> None:
    async with dispatching(home) as bench:
        await bench.visit({"mine": "true"}, once_per="change", watch="/stuck")
        assert await bench.rows("SELECT job FROM runs") == []
        assert await bench.rows("SELECT count(*) FROM registrations") == [(1,)]
        gate.set()
        await bench.until("SELECT job FROM runs", [("mine",)])
        assert await bench.rows("SELECT count(*) FROM registrations") == [(0,)]
