"""The shells of a history: what they declare, and the visits they make.

Owns the shim's promises as the daemon can rely on them: messages are numbered and sent in
order, each again until it is answered, at most three times; the next one only after the
answer to the one before.
"""

from dataclasses import dataclass, field

from zdeferd.jobs.registrations import Register
from zdeferd.wire import messages

from .applying import Follower

TRIES = 3


@dataclass(eq=False)
class Message:
    """One visit on its way. `connection`: which of the shell's connections carries it."""

    shell: "Shell"
    visit: messages.Visit
    connection: int
    taken: bool = False
    """The daemon that is running now has read it."""

    def says(self) -> str:
        events = [name for name in ("postprompt", "idle") if getattr(self.visit, name)]
        jobs = [f"{job.id} ({job.on}, once per {job.once_per})" for job in self.visit.jobs]
        asks = [f"asks for {word}" for word in self.visit.context.apply.split("\0")[1:]]
        return f"seq {self.visit.hello.seq}: {', '.join(events + jobs + asks) or 'nothing'}"


@dataclass(eq=False)
class Shell:
    """One zsh."""

    nonce: str
    env: dict[str, str]
    follower: Follower
    outbox: list[messages.Visit] = field(default_factory=list)
    seq: int = 0
    tries: int = 0
    connection: int = 0
    connected: bool = False
    waits: bool = False
    """True: answered, with its connection kept open for outputs."""
    gone: bool = False
    declared: set[str] = field(default_factory=set)

    def prepare(self, jobs: tuple[Register, ...], postprompt: bool, idle: bool) -> None:
        """Freeze a message; it will never say anything else."""
        self.seq += 1
        environment = "\0".join(f"{name}={value}" for name, value in self.env.items())
        self.outbox.append(
            messages.Visit(
                hello=messages.Hello(protocol=2, nonce=self.nonce, seq=self.seq),
                context=messages.ShellContext(environment=environment, apply=self.follower.says()),
                functions=(),
                jobs=jobs,
                oversize=(),
                postprompt=postprompt,
                idle=idle,
            )
        )

    def visit(self) -> Message | None:
        """Connect and send what comes first; None where there is nothing to do."""
        if self.waits and self.outbox:
            self.hang_up()
        if self.gone or self.connected or not self.outbox or self.tries >= TRIES:
            return None
        self.connection += 1
        self.connected = True
        self.tries += 1
        return Message(self, self.outbox[0], self.connection)

    def hears(self, message: Message) -> bool:
        """Return whether the connection that carried the message is still there."""
        return self.connected and message.connection == self.connection

    def answered(self, message: Message) -> None:
        """An answer reaches the connection that asked."""
        if self.outbox and self.outbox[0] is message.visit:
            self.outbox.pop(0)
            self.tries = 0
        self.waits = self.connected = bool(self.follower.awaited)

    def ask(self) -> None:
        """Say at a prompt what it waits for, where nothing else is to be said."""
        if self.follower.awaited and not self.outbox and not self.gone:
            self.prepare((), postprompt=False, idle=False)

    def hang_up(self) -> None:
        self.connected = self.waits = False

    def daemon_is_gone(self) -> None:
        """End of file on the connection."""
        self.hang_up()
