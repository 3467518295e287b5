"""The played machine's processes: who can take a step, how each begins and how it ends.

Owns the daemon, the spawners, the runners and the jobs, and tells the witness what they
did in the world.
"""

import errno
from collections.abc import Callable
from typing import Any

from zdeferd.machine.processes import LiveCost
from zdeferd.rules.places import LOOK_EVERY_S

from . import away
from .calls import Process
from .daemon import Daemon
from .disk import error
from .loop import Loop
from .promises import Invariant, Violation
from .stage import Stage


class Machine(Stage):
    """A machine that can be turned, one step of one process at a time."""

    # who can take a step now

    def steps(self) -> list[Callable[[], None]]:
        """One for each process or thread that has something to do."""
        out: list[Callable[[], None]] = []
        daemon = self.daemon
        if daemon is not None and not daemon.process.dead:
            if daemon.loop.due() and daemon not in self.active:
                out.append(self._turn)
            if daemon.committer.queued:
                out.append(self._commit)
            if daemon.committer.committed:
                out.append(self._tell)
            if daemon.loop.pool:
                out.append(self._run_pooled)
        active = self.active
        out += [one.step for one in self.spawners if not one.waits() and one not in active]
        out += [one.step for one in self.runners if not one.waits() and one not in active]
        if self.calls.closing:
            out.append(self.calls.close_one)
        return out

    # Each does nothing where another step, of the same round, came first.

    def _turn(self) -> None:
        if (daemon := self.daemon) is not None:
            self.as_process(daemon.process, daemon, daemon.turn)

    def _commit(self) -> None:
        if self.daemon is not None:
            self.ledger.full, self.ledger.locked = "ledger" in self.full, "locked" in self.full
            self.daemon.committer.commit()
            self.ledger.durable()

    def _tell(self) -> None:
        if self.daemon is not None and self.daemon.committer.committed:
            self.daemon.committer.tell()

    def _run_pooled(self) -> None:
        daemon = self.daemon
        if daemon is not None and daemon.loop.pool:
            # Its own actor: another thread runs beside the loop.
            run = daemon.loop.run_pooled
            self.as_process(daemon.process, daemon.loop.pool, lambda: run(0))

    def daemon_loop(self) -> Loop:
        assert self.daemon is not None
        return self.daemon.loop

    # processes

    def _process(self, name: str) -> Process:
        self._pids += 1
        return Process(name, self._pids)

    def start_daemon(self) -> None:
        if self.daemon is not None:
            return
        self.note("daemon", f"starts, boot {self.boot}")
        self.pass_time(0.1)
        self.keyboard.new_daemon(self.clocks())
        self.daemon = Daemon(self, self._process("daemon"))
        self.as_process(self.daemon.process, self.daemon, self.daemon.start)

    def stop_daemon(self) -> None:
        """SIGTERM, or `zdeferctl stop`."""
        if self.daemon is not None:
            self.note("daemon", "is asked to leave")
            self.daemon.asked_to_leave = True
            self.daemon.dispatcher.stop()

    def kill_daemon(self) -> None:
        daemon = self.daemon
        if daemon is None or daemon.process.dead:
            return
        self.note("daemon", "is killed")
        self.daemon_was_killed = True
        self._daemon_is_gone(daemon)

    def daemon_left(self) -> None:
        daemon = self.daemon
        assert daemon is not None
        self.note("daemon", "has left")
        if daemon.committer.queued:  # as Committer.close does
            self._commit()
        if not daemon.asked_to_leave and (live := self.ledger.live_runs()):
            self.found(Violation(Invariant.LEAVES_NOTHING, f"run {live[0].id}"))
        self._daemon_is_gone(daemon)

    def _daemon_is_gone(self, daemon: Daemon) -> None:
        self.calls.kill(daemon.process)
        for spawner in self.spawners:
            spawner.hung_up = True
        for message in self.wire:
            message.taken = False
        for shell in self.shells:
            shell.daemon_is_gone()
        self._bury(daemon.process)

    def make_spawner(self) -> away.Spawner:
        made = away.Spawner(self, self._process("spawner"))
        self.spawners.append(made)
        self.note("spawner", "starts")
        return made

    def fork_runner(self, request: dict[str, Any], alive: int) -> None:
        process = self._process("runner")
        self.calls.inherit(alive, process)
        made = away.Runner(self, request, process)
        self.runners.append(made)
        self.note("spawner", f"forks a runner for run {made.run}, attempt {made.attempt}")

    def kill_spawner(self, index: int) -> None:
        if self.spawners:
            self._kill_life(self.spawners[index % len(self.spawners)], "spawner")

    def kill_runner(self, index: int) -> None:
        if self.runners:
            self._kill_life(self.runners[index % len(self.runners)], "runner")

    def _kill_life(self, life: Any, name: str) -> None:
        of = f" of run {life.run}" if isinstance(life, away.Runner) else ""
        self.note(name, f"is killed{of}")
        self.exit(life.process, killed=True)
        if life not in self.active:
            before, self.calls.process = self.calls.process, life.process
            try:
                life.life.close()
            except BaseException:  # noqa: BLE001 - a dead process' clean-up can do nothing
                pass
            self.calls.process = before

    def exit(self, process: Process, killed: bool = False) -> None:
        """A process away from the daemon ends, by itself or not."""
        for runner in [one for one in self.runners if one.process is process]:
            self.runners.remove(runner)
            self.look_for_record(runner)
            at = (runner.run, runner.attempt)
            if killed and at not in self.witness.records:
                self.witness.died.add(at)
        self.look_at_outputs()
        self.calls.kill(process)
        for spawner in [one for one in self.spawners if one.process is process]:
            self.spawners.remove(spawner)
            spawner.told()

    def look_for_record(self, runner: away.Runner) -> None:
        """Whether its outcome stands in the run's folder."""
        at = (runner.run, runner.attempt)
        written = self.disk.node(f"{runner.request['folder']}/outcome.json") is not None
        if written and runner.facts and at not in self.witness.records:
            self.witness.records[at] = runner.facts
            self.note("runner", f"recorded run {at[0]}: rc={runner.facts['rc']}")

    # jobs

    def launch(self, request: dict[str, Any], outputs: tuple[int, int], job_lock: int) -> int:
        """What `launching.launch` does."""
        if self.no_processes:
            raise error(errno.EAGAIN)
        runner = next(one for one in self.runners if one.process is self.calls.process)
        at = (runner.run, runner.attempt)
        job = away.Job(*at, self._process(f"job of run {at[0]}"))
        self.calls.inherit(job_lock, job.process)
        runner.job = job
        self.job_processes.append(job)
        self.note("runner", f"starts the job of run {at[0]}, attempt {at[1]}")
        self.check(self.witness.started, at, self.ledger.tables)
        self.began[runner.run] = self.awake
        alive = (one.run for one in self.runners if one.job and one.job.rc is None)
        supervised = [run for run in alive if self._holds_a_place(run)]
        self.check(self.witness.lanes, supervised, self.most_at_once)
        return job.process.pid

    def live_cost(self, pid: int, started_at: float) -> LiveCost | None:
        """What `processes.live_cost` does; the job of every third run waits for the network."""
        runs = [one.run for one in self.runners if one.process.pid == pid]
        if not runs:
            return None
        return LiveCost(1.0 if self._hangs(runs[0]) else self.awake, 0, 1)

    @staticmethod
    def _hangs(run: int) -> bool:
        return run % 3 == 0

    def _holds_a_place(self, run: int) -> bool:
        """Not where it has used no CPU for as long as the daemon has to see."""
        return not self._hangs(run) or self.awake - self.began[run] < LOOK_EVERY_S / 2

    def end_job(self, job: away.Job, rc: int) -> None:
        if job.rc is None:
            job.rc = rc
            self.note("job", f"of run {job.run} ends, rc={rc}")
            self.job_processes.remove(job)
            self.calls.kill(job.process)

    def finish_job(self, index: int, rc: int) -> None:
        if self.job_processes:
            self.end_job(self.job_processes[index % len(self.job_processes)], rc)

    def time_out_job(self, index: int) -> None:
        at_work = [one for one in self.runners if one.job and one.job.rc is None]
        if at_work:
            at_work[index % len(at_work)].timed_out = True
            self.note("runner", f"runs out of time: run {at_work[index % len(at_work)].run}")

    def end_leftovers(self, folder: str) -> bool:
        """What `leftovers.end` does."""
        run = int(folder.rpartition("/")[2])
        for job in [job for job in self.job_processes if job.run == run]:
            if self.LEFTOVERS_END:
                self.end_job(job, 137)
        return True

    def tell_to_end(self, pid: int) -> bool:
        """SIGTERM."""
        for runner in self.runners:
            if runner.process.pid == pid:
                runner.process.told_to_end = True
                self.note("runner", f"of run {runner.run} gets SIGTERM")
                return True
        return False
