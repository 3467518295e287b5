"""What can happen to a machine: every operation that a history is made of.

Each method does one thing to the world and can be called at any time; one that makes no
sense then does nothing. Who chooses them, by a seed or by hypothesis, is not known here.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from zdeferd.model import Job, Outcome, Scope, Trigger
from zdeferd.rules.changes import PAUSE_S
from zdeferd.runs.asked import Asked, ForgetAsked, PauseAsked, RunAsked, SwitchAsked
from zdeferd.runs.followers import Caller
from zdeferd.wire import messages

from .applying import Due, Follower
from .disk import FILE, FOLDER, Node
from .machine import Machine
from .promises import Invariant, Violation
from .shells import Message, Shell


def output_of(job: Job) -> str:
    """The path of the output of a job of the files."""
    return job.output.replace("$HOME", "/home")


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

        self._lose_of_outputs(chance)

    def _lose_of_outputs(self, chance: Random) -> None:
        """Changes of names that no flush of their folder followed, in order, and bytes of files."""
        for folder, changes in list(self.disk.unsynced.items()):
            self.disk.undo(folder, chance.randint(0, len(changes)))
        for folder in [name for name in self.disk.folders if name.startswith("/home")]:
            for node in self.disk.folders[folder].values():
                if node.kind == FILE and node.synced < len(node.data):
                    del node.data[chance.randint(node.synced, len(node.data)) :]
        for path in self.witness.outputs:
            left = self.disk.node(path)
            self.check(self.witness.cut, path, b"" if left is None else bytes(left.data))
            if left is None:
                self.removed[path] = self.tick()

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
        follower = Follower(self.now, dict(self.witness.there))
        self.shells.append(Shell(f"n{len(self.shells) + 1}", dict(env), follower))
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
        self.heard.setdefault((visit.hello.nonce, visit.hello.seq), self.tick())
        caller = Caller(
            lambda notes: self._answer(message, notes),
            send=lambda said: self._tell_shell(message, said),
        )
        self.as_process(daemon.process, daemon, lambda: daemon.take(visit, caller))

    def _answer(self, message: Message, notes: list[bytes]) -> None:
        shell = message.shell
        self.note("daemon", f"answers {shell.nonce}, seq {message.visit.hello.seq}")
        self.check(self._answered_is_kept, message.visit)
        self.check(self._made_again, message.visit)
        if shell.hears(message):
            shell.follower.note(notes, self.disk.node, self.is_young)
            shell.follower.asked |= self._asked_for(message.visit)
            shell.answered(message)

    def _asked_for(self, visit: messages.Visit) -> set[str]:
        """The jobs of the files with `apply` that the visit asked for, as far as that is sure."""
        is_read = visit.postprompt or visit.idle
        if not is_read or self.configured > self.heard[visit.hello.nonce, visit.hello.seq]:
            return set()
        return {job.id for job in self.jobs.values() if job.apply}

    def _tell_shell(self, message: Message, said: list[bytes]) -> None:
        """A message behind the answer; nothing where the connection is gone."""
        shell = message.shell
        if not shell.waits or not shell.hears(message):
            return
        self.note("daemon", f"tells {shell.nonce}: {b' '.join(said).decode()}")
        due = shell.follower.told(said, self.disk.node)
        if due is not None:
            self.check(self.witness.told, shell.nonce, due)
        if not shell.follower.awaited:
            shell.hang_up()

    def _made_again(self, visit: messages.Visit) -> None:
        """Check that an output removed before the first visit of a shell is made again."""
        hello = visit.hello
        heard = self.heard[hello.nonce, hello.seq]
        if hello.seq > 1 or not visit.postprompt or self.clock_was_set:
            return
        for job in self.jobs.values():
            removed = self.removed.get(output_of(job))
            made = job.once_per is Scope.CHANGE and Trigger.POSTPROMPT in job.on
            if not made or removed is None or removed > heard or self.configured > heard:
                continue
            if job.id not in self.ledger.tables.disabled and not self._is_on_its_way(job, heard):
                raise Violation(Invariant.MADE_AGAIN, f"{hello}: {job.id}")

    def _is_on_its_way(self, job: Job, heard: int) -> bool:
        """Return whether a run of the job is live, or has ended since or shortly before."""
        runs = [row for row in self.ledger.tables.runs.values() if row.run.job == job.id]
        last = max(runs, key=lambda row: row.run.id, default=None)
        if last is None or last.ending is None:
            return last is not None
        is_new = self.ended.get(last.run.id, 0) > heard
        failed = last.ending.outcome is not Outcome.SUCCEEDED
        return is_new or (failed and self.now - last.ending.ended_at < PAUSE_S + 10)

    def new_prompt(self, index: int) -> None:
        """A shell has run a command line: it looks, and asks for what it waits for."""
        if not self.shells:
            return
        shell = self.shells[index % len(self.shells)]
        if not shell.gone:
            shell.hang_up()
            shell.follower.look(self.disk.node)
            shell.ask()
            self.send(shell)

    def apply(self, index: int) -> None:
        """A shell in which no key waits sources what comes first; no visit goes on meanwhile."""
        ready = [one for one in self.shells if one.follower.queue and not one.gone]
        if not ready:
            return
        shell = ready[index % len(ready)]
        if shell.waits:
            shell.hang_up()
        due = shell.follower.queue.pop(0)
        node = self.disk.node(due.path)
        self.note("shell", f"{shell.nonce} sources {due.path} of run {due.run}")
        self.check(self._sourced, shell, due, None if node is None else bytes(node.data))
        if not shell.follower.queue:
            shell.ask()
            self.send(shell)

    def _sourced(self, shell: Shell, due: Due, data: bytes | None) -> None:
        number = self.witness.sourced(due, data, due.path in self.removed)
        if number:
            shell.follower.has[due.path] = number

    def remove_output(self, index: int) -> None:
        """The user removes an output, or what is compiled of it, or both."""
        for path in [path for path in self.witness.outputs if self.disk.node(path)]:
            self.note("user", f"removes {path}, {('alone', 'compiled', 'and compiled')[index % 3]}")
            if index % 3 != 1:
                self.disk.remove(path)
                self.removed[path] = self.tick()
                self.witness.there.pop(path, None)
            if index % 3 and self.disk.node(f"{path}.zwc"):
                self.disk.remove(f"{path}.zwc")

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
        self.configured = self.tick()
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
