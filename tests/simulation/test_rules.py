"""The same machine in the hands of hypothesis: what fails here is made small by itself.

Every operation is a rule, and so is an interruption: at the n-th system call or callback
from now something happens, in the middle of whatever is running then. In the end the
faults stop, and everything must come right, as in every history.
"""

from collections.abc import Callable
from contextlib import ExitStack
from random import Random

import hypothesis
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from zdeferd.conditions import Conditions, Power
from zdeferd.jobs.registrations import Register
from zdeferd.model import Code, Job, Scope, Trigger
from zdeferd.settings import Settings

from .history import History
from .mutations import MUTATIONS
from .promises import Violation
from .stage import Setup
from .world import World

INDEX, COUNT = st.integers(0, 3), st.integers(1, 12)
SCOPES = st.sampled_from(Scope)
TRIGGERS = st.sampled_from(Trigger)
CONDITIONS = st.sampled_from(
    [
        *[None] * 3,
        Conditions(power=Power.AC),
        Conditions(online=True, deadline=70.0),
        Conditions(power=Power.AC, quiet_s=30.0, load_below=1.0),
        Conditions(not_before=60.0),
    ]
)
NAMES = ("f0", "f1", "f2")


def _job(
    name: str,
    scope: Scope,
    trigger: Trigger,
    attempts: int,
    after: tuple[str, ...],
    when: Conditions | None,
) -> Job:
    return Job(
        id=name,
        run=Code("true"),
        on=(trigger,),
        once_per=scope,
        watch=("w0",) if scope is Scope.CHANGE else (),
        after=after,
        when=when,
        idempotent=attempts > 1,
        attempts=attempts,
        source="/jobs.d/all.toml",
    )


@st.composite
def job_files(draw: st.DrawFn) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for name in NAMES[: draw(st.integers(0, len(NAMES)))]:
        after = tuple(list(found)[:1]) if draw(st.booleans()) else ()
        drawn = draw(SCOPES), draw(TRIGGERS), draw(st.integers(1, 2))
        found[name] = _job(name, *drawn, after, draw(CONDITIONS))
    return found


@st.composite
def registrations(draw: st.DrawFn) -> tuple[Register, ...]:
    return tuple(
        Register(
            id=f"s{number}",
            call=("true",),
            on=draw(TRIGGERS),
            once_per=(scope := draw(SCOPES)),
            watch=("/w1",) if scope is Scope.CHANGE else (),
        )
        for number in range(draw(st.integers(0, 2)))
    )


MISFORTUNES: dict[str, Callable[[World], object]] = {
    "room again": lambda world: world.full.clear(),
    "no room for the ledger": lambda world: world.full.add("ledger"),
    "a locked ledger": lambda world: world.full.add("locked"),
    "no room for run folders": lambda world: world.full.add("/state"),
    "no room for the log": lambda world: world.full.add("/log"),
    "a reboot": lambda world: world.reboot(False, Random(0)),
    "a power cut": lambda world: world.reboot(True, Random(0)),
    "a clock set back": lambda world: world.set_clock(-86400.0),
    "a clock set forward": lambda world: world.set_clock(3600.0),
    "a suspend": lambda world: world.suspend(3600.0),
    "on a battery": lambda world: world.sense("power", Power.BATTERY),
    "on mains": lambda world: world.sense("power", Power.AC),
    "offline": lambda world: world.sense("online", False),
    "online": lambda world: world.sense("online", True),
    "a load": lambda world: world.sense("load", 5.0),
    "a rotated log": lambda world: world.rotate(),
    "a lost message": lambda world: world.lose(0),
}


class Played(RuleBasedStateMachine):
    """A history that hypothesis writes."""

    def __init__(self) -> None:
        super().__init__()
        self._held = ExitStack()
        self.notes: list[str] = []

    @initialize(
        jobs=job_files(),
        at_once=st.integers(1, 2),
        may_leave=st.booleans(),
        order=st.integers(0, 99),
    )
    def begin(self, jobs: dict[str, Job], at_once: int, may_leave: bool, order: int) -> None:
        setup = Setup(jobs, Settings(jobs_at_once=at_once), may_leave)
        self.history = History(setup, Random(order), self.notes)
        self.world = self.history.machine
        self._held.enter_context(self.history.played())
        self.world.start_daemon()

    # shells

    @rule(jobs=registrations(), budget=st.booleans())
    def a_shell_opens(self, jobs: tuple[Register, ...], budget: bool) -> None:
        env = {"HOME": "/home"} | ({"ZSH_IDLE_HARD_BUDGET_MS": "1500"} if budget else {})
        self.world.open_shell(env)
        self.world.type_key()
        self.world.shells[-1].prepare(jobs, postprompt=True, idle=False)
        self.world.send(self.world.shells[-1])

    @precondition(lambda self: self.world.shells)
    @rule(index=INDEX, postprompt=st.booleans(), idle=st.booleans())
    def a_shell_says_more(self, index: int, postprompt: bool, idle: bool) -> None:
        shell = self.world.shells[index % len(self.world.shells)]
        shell.prepare((), postprompt, idle)
        self.world.send(shell)

    @precondition(lambda self: self.world.shells)
    @rule(index=INDEX)
    def a_shell_tries_again(self, index: int) -> None:
        shell = self.world.shells[index % len(self.world.shells)]
        shell.hang_up()
        self.world.send(shell)

    @precondition(lambda self: self.world.wire)
    @rule(index=INDEX, keep=st.booleans())
    def a_message_arrives(self, index: int, keep: bool) -> None:
        self.world.deliver(index, keep)

    # what turns

    @rule(count=COUNT)
    def processes_take_steps(self, count: int) -> None:
        self.history.steps(count)

    @rule()
    def all_comes_to_rest(self) -> None:
        self.history.rest()

    @precondition(lambda self: self.world.job_processes)
    @rule(index=INDEX, rc=st.integers(0, 1))
    def a_job_ends(self, index: int, rc: int) -> None:
        self.world.finish_job(index, rc)

    @rule(seconds=st.sampled_from([0.0, 0.0, 1.0, 70.0, 86400.0]))
    def time_passes(self, seconds: float) -> None:
        if seconds:
            self.world.pass_time(seconds)
        else:
            self.world.pass_to_next_instant()

    @rule()
    def a_daemon_starts(self) -> None:
        self.world.start_daemon()

    # what goes wrong

    @rule(
        calls=st.integers(1, 60),
        what=st.sampled_from(["daemon", "spawner", "runner", "job", "others"]),
        index=INDEX,
    )
    def something_will_happen_in_the_middle(self, calls: int, what: str, index: int) -> None:
        world = self.world
        happenings: dict[str, Callable[[], object]] = {
            "daemon": world.kill_daemon,
            "spawner": lambda: world.kill_spawner(index),
            "runner": lambda: world.kill_runner(index),
            "job": lambda: world.finish_job(index, 0),
            "others": lambda: self.history.steps(4),
        }
        world.countdown = calls

        def happen(_call: str) -> None:
            happenings[what]()

        self.history.wild = happen

    @rule(who=st.sampled_from(["daemon", "runner", "spawner"]), index=INDEX)
    def a_process_is_killed(self, who: str, index: int) -> None:
        if who == "daemon":
            self.world.kill_daemon()
        elif who == "runner":
            self.world.kill_runner(index)
        else:
            self.world.kill_spawner(index)

    @rule(verb=st.sampled_from(["stop", "cancel", "f0", "s0"]), index=INDEX)
    def a_request_comes(self, verb: str, index: int) -> None:
        if verb == "stop":
            self.world.stop_daemon()
        elif verb == "cancel":
            self.world.cancel(index)
        else:
            self.world.run_by_hand(verb)

    @rule(what=st.sampled_from(list(MISFORTUNES)))
    def a_misfortune(self, what: str) -> None:
        MISFORTUNES[what](self.world)

    @invariant()
    def the_processes_go_on(self) -> None:
        if hasattr(self, "history"):
            self.history.raise_what_was_found()
            self.history.steps(self.history.chance.randint(0, 15))

    def teardown(self) -> None:
        try:
            if hasattr(self, "history"):
                with self._held:
                    self.history.finale()
        finally:
            hypothesis.note("\n".join(self.notes))


TestPlayed = Played.TestCase
TestPlayed.settings = settings(max_examples=150, stateful_step_count=25)


@pytest.mark.parametrize(
    "name", ["a_claim_is_not_unique", "a_runner_without_a_lock", "a_recall_counts_as_an_attempt"]
)
def test_the_rules_find_what_is_broken(name: str) -> None:
    mutation, expected = MUTATIONS[name]
    quick = settings(TestPlayed.settings, phases=(Phase.generate,), database=None, derandomize=True)
    with mutation(), pytest.raises(Violation) as found:
        run_state_machine_as_test(Played, settings=quick)
    assert found.value.name in expected
