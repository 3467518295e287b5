"""What can happen to a machine: every operation that a history is made of.

Each method does one thing to the world and can be called at any time; one that makes no
sense then does nothing. Who chooses them, by a seed or by hypothesis, is not known here.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from zdeferd.model import Job, Trigger
from zdeferd.runs.asked import Asked, ForgetAsked, PauseAsked, RunAsked, SwitchAsked
from zdeferd.wire import messages

from .disk import FILE, FOLDER, Node
from .machine import Machine
from .promises import Invariant, Violation
from .shells import Message, Shell


class World(Machine):
    """A machine, its user, and bad luck."""

    def reboot(self, power_cut: bool, chance: Random) -> None:
        """Everything ends at once; a power cut also takes what was not yet on the disk."""
        if self.daemon in self.active:
            return
        self.note("machine", "loses its power" if power_cut else "reboots")
        for row in self.ledger.tables.runs.values():
            if row.run.state == "dispatched":
                self.witness.died.add((row.run.id, row.run.attempt))
        self.end_everything()
        if power_cut:
            self._lose_what_was_not_synced(chance)
        self._boots += 1
        self.boot = f"b{self._boots}"
        self.now += 30.0
        self.awake = self.since_boot = 10.0
        self.keyboard.reboot()
        self.wire.clear()
        for shell in self.shells:
            shell.gone = True

    def end_everything(self) -> None:
        """No process is left."""
        self.kill_daemon()
        for life in (*self.spawners, *self.runners):
            self._kill_life(life, "process")
        for job in list(self.job_processes):
            self.end_job(job, 137)
        while self.calls.closing:
            self.calls.close_one()

    def _lose_what_was_not_synced(self, chance: Random) -> None:
        for folder, names in self.disk.folders.items():
            for name, node in list(names.items()):
                if node.kind != FOLDER and folder.startswith("/state/runs/"):
                    self._lose_a_file(f"{folder}/{name}", node, chance.random())
                elif folder == "/log" and chance.random() < 0.5:
                    kept = min(node.synced, len(node.data))
                    del node.data[chance.randint(kept, len(node.data)) :]
                    self.torn += 1

    def _lose_a_file(self, path: str, node: Node, fate: float) -> None:
        """Its contents, or its name too, or neither."""
        if fate >= 0.5:
            return
        if fate < 0.3:
            node.data.clear()
        else:
            self.disk.remove(path)
        _, _, _, run, name = path.split("/")
        if name == "outcome.json":  # nobody will ever know
            kept = {at: facts for at, facts in self.witness.records.items() if at[0] != int(run)}
            self.witness.records = kept

    # shells

    def open_shell(self, env: Mapping[str, str]) -> None:
        self.shells.append(Shell(f"n{len(self.shells) + 1}", dict(env)))
        self.note("shell", f"{self.shells[-1].nonce} opens")

    def type_key(self) -> None:
        """The user is there."""
        self.pass_time(0.0011)
        self.note("user", "types")
        self.keyboard.touch(self.clocks())

    def send(self, shell: Shell) -> None:
        """The shell makes its visit, if it has one to make."""
        message = shell.visit()
        if message is not None:
            self.note("shell", f"{shell.nonce} visits: {message.says()}")
            self.wire.append(message)

    def deliver(self, index: int, keep: bool) -> None:
        """A message reaches the daemon; `keep`: and will do so again."""
        untaken = [message for message in self.wire if not message.taken]
        if self.daemon is None or self.daemon.process.dead or not untaken:
            return
        if self.daemon in self.active:
            return
        message = untaken[index % len(untaken)]
        self.pass_time(0.001)
        self.note("daemon", f"hears {message.shell.nonce}: {message.says()}")
        message.taken = True
        if not keep:
            self.wire.remove(message)
        if message.visit.idle:
            self.idle_events.add(self.now)
        daemon, visit = self.daemon, message.visit
        self.as_process(
            daemon.process, daemon, lambda: daemon.take(visit, lambda: self._answer(message))
        )

    def _answer(self, message: Message) -> None:
        self.note("daemon", f"answers {message.shell.nonce}, seq {message.visit.hello.seq}")
        self.check(self._answered_is_kept, message.visit)
        message.shell.answered(message)

    def _answered_is_kept(self, visit: messages.Visit) -> None:
        """The answer says: it is durable."""
        known = self.ledger.shell(visit.hello.nonce)
        if known is None or known.seq < visit.hello.seq:
            raise Violation(Invariant.ANSWERED_IS_KEPT, f"{visit.hello}")
        nonce, tables = visit.hello.nonce, self.ledger.tables
        waiting = {(r.shell, at, r.job.id) for r, at in tables.registrations.values()}
        for job in visit.jobs:
            if job.once_per != "shell" or job.id[0] != "s":  # of no file, and for this shell
                continue
            due = visit.postprompt and job.on == "postprompt"
            waits = not due and (nonce, job.on, job.id) in waiting
            if not waits and (job.id, f"shell:{nonce}") not in tables.claims:
                raise Violation(Invariant.ANSWERED_IS_KEPT, f"{visit.hello}: {job.id}")

    def lose(self, index: int) -> None:
        """A message never arrives."""
        if self.wire:
            message = self.wire.pop(index % len(self.wire))
            self.note("wire", f"loses a message of {message.shell.nonce}")

    def hang_up(self, index: int) -> None:
        """A command line is entered while the visit is under way."""
        if self.shells:
            shell = self.shells[index % len(self.shells)]
            shell.hang_up()
            self.note("shell", f"{shell.nonce} hangs up")

    # requests of zdeferctl

    def run_by_hand(self, job: str) -> None:
        if self.daemon is not None and self.daemon not in self.active:
            self.note("zdeferctl", f"run {job}")
            self.daemon.dispatcher.ask(RunAsked, job, {"HOME": "/home"})

    def ask(self, kind: Callable[..., Asked[Any]], *what: object) -> None:
        """A request of zdeferctl, whose answer nobody waits for."""
        if self.daemon is not None and self.daemon not in self.active:
            self.note("zdeferctl", f"{kind.__name__} {what}")
            self.daemon.dispatcher.ask(kind, *what)

    def forget(self, job: str) -> None:
        """The folders go first, where no run is live."""
        live, ended = self.ledger.runs_of(job)
        if not live and self.daemon is not None and self.daemon not in self.active:
            for run in ended:
                if f"/state/runs/{run}" in self.disk.folders:
                    self.disk.remove_tree(f"/state/runs/{run}")
            self.ask(ForgetAsked, job, frozenset(ended))

    def switch_all_on(self) -> None:
        """No lane is paused any more, no job disabled."""
        self.ask(PauseAsked, tuple(Trigger), False)
        for job in sorted(self.ledger.tables.disabled):
            self.ask(SwitchAsked, job, True)

    def cancel(self, index: int) -> None:
        live = self.ledger.live_runs()
        if self.daemon is not None and self.daemon not in self.active and live:
            run = live[index % len(live)]
            self.note("zdeferctl", f"cancel {run.id}")
            self.witness.cancelled.add(run.id)
            self.daemon.dispatcher.endings.cancel(run.id)

    def configure(self, jobs: Mapping[str, Job], jobs_at_once: int) -> None:
        """The job files change."""
        self.note("user", f"changes the job files: {', '.join(jobs) or 'none'}")
        self.jobs = dict(jobs)
        self.config_version += 1
        self.most_at_once = max(self.most_at_once, jobs_at_once)

    def change_input(self, name: str) -> None:
        """What a job watches differs now."""
        self.inputs[name] = self.inputs.get(name, 0) + 1
        self.note("user", f"changes {name}")

    def sense(self, name: str, value: object) -> None:
        """Power, network or load change."""
        if self.sensors.values[name] != value:
            self.note("machine", f"{name} is {value}")
            self.sensors.becomes(name, value)

    # logs

    def rotate(self) -> None:
        log = self.paths.shared_log
        node = self.disk.node(log)
        if node is None:
            return
        self.note("logrotate", "renames the log")
        self._forget_log(f"{log}.1")
        self.disk.rename(log, f"{log}.1")

    def copy_and_truncate(self) -> None:
        log = self.paths.shared_log
        node = self.disk.node(log)
        if node is None:
            return
        self.note("logrotate", "copies the log and cuts it to nothing")
        self._doubt_what_is_under_way()
        copy = Node(node.kind, 0)
        copy.data += node.data
        self.archive.append((log, copy))
        node.data.clear()

    def remove_log(self) -> None:
        self.note("user", "removes the log")
        self._forget_log(self.paths.shared_log)

    def _forget_log(self, path: str) -> None:
        node = self.disk.node(path)
        if node is not None:
            # A new log may get the number of this one: then what was begun in this is absent.
            self._doubt_what_is_under_way()
            self.archive.append((self.paths.shared_log, node))
            self.disk.remove(path)

    def _doubt_what_is_under_way(self) -> None:
        """The lines of the group that is begun, and of the next: its place may be looked up."""
        lines = [row.line for row in self.ledger.tables.lines.values()]
        self.in_doubt.update(line.text for line in lines if line.path == self.paths.shared_log)

    def write_beside(self, text: bytes) -> None:
        """Another program appends to the log."""
        log = self.paths.shared_log
        if "/log" in self.full:
            return
        node = self.disk.node(log) or self.disk.create(log, FILE)
        whole = not node.data or node.data.endswith(b"\n")
        node.data += text + b"\n"
        if whole:
            self.strangers.append((log, text))
        else:
            self.torn += 1
        self.note("stranger", f"writes {text.decode()}")
