"""Publishes what a job prints as a file that readers see whole or not at all.

The job's stdout goes through a pipe into a temporary file beside the final place. When the job
has succeeded the file is checked and flushed, then renamed, and its folder is flushed, as are those
above it. Only the runner has the file open: nothing of the job can write to it afterwards.

`outputs/<hash>` in the state folder has two numbers of each place: of the latest attempt that
began, and of the latest that was about to publish. They are changed under its lock. An attempt
that began before the published one is refused, so an older output never replaces a newer one.
The temporary file is locked as long as its runner lives; one without a lock is removed.

zsh uses `PATH.zwc` where it is at least as old as PATH, in whole seconds. So the one of the old
version is removed before PATH is replaced, and the new one gets the time of the new PATH.

Standard library only, and light: the spawner imports it.
"""

from __future__ import annotations

import fcntl
import os
import stat

from ..crashpoints import reached
from . import checks
from .launch import CannotStart, run_to_end, zsh_of
from .output import PipeReader
from .records import copy, flush_above, open_file, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .launch import Request, Wanted

REFUSED = 65
"""The exit code where an output was refused: EX_DATAERR of sysexits.h."""
MOST_BYTES = 64 << 20
LONGEST_REASON = 300
"""Characters: the record of an outcome has a room of fixed size."""


class Unpublishable(CannotStart):
    """An output cannot be published, or must not; the text is the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(REFUSED, reason[:LONGEST_REASON])


def opened(request: Request) -> Publication | None:
    """Return the publication that the request wants; None: it wants none. Unpublishable."""
    wanted = request.get("publish")
    return Publication(request, wanted) if wanted else None


def refusal(error: Exception) -> dict[str, object]:
    """Return what the outcome says of an error, where an output is refused."""
    if not isinstance(error, Unpublishable):
        return {}
    return {"rc": REFUSED, "refusal": str(error)}


class Publication(PipeReader):
    """One attempt's output on its way to its place."""

    def __init__(self, request: Request, wanted: Wanted) -> None:
        """Open the temporary file. Unpublishable."""
        self._wanted, self._run, env = wanted, request["folder"], request["env"]
        self._zsh, self._search = zsh_of(env), env.get("PATH", "")
        self._name = os.path.basename(wanted["path"])
        self._prefix = f".zdeferd-{wanted['key']}-"
        run = os.path.basename(self._run)
        self._temporary = f"{self._prefix}{run}.{request['attempt']}"
        self._size, self._reason = 0, ""
        self._folder, self._at = _open_folder(wanted["path"], wanted["home"])
        self._mode = _mode(self._at, self._name, wanted["umask"])
        try:
            self._begin(os.path.dirname(os.path.dirname(self._run)))
            reading, self.writing = os.pipe()
        except OSError as error:
            raise Unpublishable(f"cannot write in {self._folder}: {error.strerror}") from None
        super().__init__(reading)

    def _begin(self, state: str) -> None:
        self._order = _Order(f"{state}/outputs", self._wanted["key"])
        with self._order:
            self._number = self._order.begin()
            self._remove_stale()
            self._fd = self._create(self._temporary)

    def add(self, data: bytes) -> None:
        """Write `data` to the temporary file; what cannot be written is why it is refused."""
        self._size += len(data)
        if self._size > MOST_BYTES:
            self._reason = f"more than {MOST_BYTES >> 20} MiB"
        try:
            if not self._reason:
                write_all(self._fd, data)
        except OSError as error:
            self._reason = f"cannot write it: {error.strerror}"

    def end(self, succeeded: bool, ended: Sequence[int] = ()) -> dict[str, object]:
        """Publish where the job `succeeded`; return what the outcome says where that is refused.

        `ended`: the processes that were ended behind the job.
        """
        try:
            if succeeded:
                self._check(ended)
                self._publish()
        except Unpublishable as error:
            return refusal(error)
        except OSError as error:
            text = f"cannot publish {self._wanted['path']}: {error.strerror}"
            return refusal(Unpublishable(text))
        finally:
            self._unlink(self._temporary)
            self._unlink(f"{self._temporary}.zwc")
        return {}

    def _publish(self) -> None:
        os.fchmod(self._fd, self._mode)
        os.fsync(self._fd)
        flush_above(self._folder, os.path.realpath(self._wanted["home"]))
        with self._order:
            if self._wanted["compile"]:
                self._compile(self._order.compiling)
            reached("runner.output-whole")
            self._order.publish(self._number)
            _mode(self._at, self._name, self._wanted["umask"])
            reached("runner.output-due")
            self._unlink(f"{self._name}.zwc")
            reached("runner.zwc-removed")
            self._rename(self._temporary, self._name)
            reached("runner.output-renamed")
            if self._wanted["compile"]:
                self._rename(f"{self._temporary}.zwc", f"{self._name}.zwc")
                reached("runner.zwc-renamed")

    def _check(self, ended: Sequence[int]) -> None:
        if self._reason:
            raise Unpublishable(self._reason)
        if not self._size and not self._wanted["empty"]:
            hint = "" if self._wanted["check"] == "init" else "; `empty = true` allows that"
            raise Unpublishable(f"it is empty{hint}")
        if check := self._wanted["check"]:
            file = f"{self._folder}/{self._temporary}"
            if said := checks.refused(check, self._zsh, file, self._search, ended):
                raise Unpublishable(said.replace(file, self._name))
            self._mode = checks.mode(check, self._zsh, file, self._mode)

    def _compile(self, folder: str) -> None:
        """Compile a copy of the same name: zsh finds the code in a `.zwc` by that name."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        source = f"{folder}/{self._name}"
        target = open_file(source, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            copy(self._fd, target)
        finally:
            os.close(target)
        # From its folder: zcompile cannot open most paths with letters beyond ASCII (zsh 5.9).
        code = 'cd -q -- "${1:h}" && zcompile -UR -- "${1:t}"'
        if said := run_to_end([self._zsh, "-fc", code, "zcompile", source]):
            raise Unpublishable(f"zcompile: {said}")
        self._take_compiled(f"{source}.zwc")
        os.unlink(source)
        os.unlink(f"{source}.zwc")

    def _take_compiled(self, path: str) -> None:
        compiled, made = open_file(path, os.O_RDONLY), self._create(f"{self._temporary}.zwc")
        try:
            copy(compiled, made)
            os.fchmod(made, self._mode)
            at = os.fstat(self._fd).st_mtime_ns
            os.utime(made, ns=(at, at))
            os.fsync(made)
        finally:
            os.close(compiled)
            os.close(made)

    def _create(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=self._at)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def _rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._at, dst_dir_fd=self._at)
        os.fsync(self._at)

    def _remove_stale(self) -> None:
        """Remove what runners left that died; the place's lock is held."""
        for name in os.listdir(self._at):
            if name.startswith(self._prefix) and self._is_stale(name):
                self._unlink(name)

    def _is_stale(self, name: str) -> bool:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._at)
        except FileNotFoundError:
            return False  # a runner that ends removes its own without the place's lock
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._at)
        except FileNotFoundError:
            pass


class _Order:
    """The two numbers of one place, and a context: the lock under which they change."""

    def __init__(self, folder: str, key: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._fd = open_file(f"{folder}/{key}", os.O_RDWR | os.O_CREAT)
        self.compiling = f"{folder}/{key}.compiling"
        """The folder in which the holder of the lock compiles."""

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def begin(self) -> int:
        """Return the number of an attempt that begins now."""
        begun, published = self._read()
        self._write(begun + 1, published)
        return begun + 1

    def publish(self, number: int) -> None:
        """Record that the attempt is about to publish; Unpublishable where a later one was."""
        begun, published = self._read()
        if number < published:
            raise Unpublishable("a run that began later has published its output")
        self._write(begun, number)

    def _read(self) -> tuple[int, int]:
        words = os.pread(self._fd, 64, 0).split()
        if len(words) != 2 or not (words[0].isdigit() and words[1].isdigit()):
            return 0, 0
        return int(words[0]), int(words[1])

    def _write(self, begun: int, published: int) -> None:
        os.pwrite(self._fd, b"%020d %020d\n" % (begun, published), 0)


def _open_folder(path: str, home: str) -> tuple[str, int]:
    """Return the folder of `path`, behind links, and a descriptor of it. Unpublishable.

    What is missing of it is made. Each folder below the home must be this user's alone to change.
    """
    if not home.startswith("/") or not path.startswith(f"{home.rstrip('/')}/"):
        raise Unpublishable(f"not in your home folder: {path}")
    at = root = os.path.realpath(home)
    try:
        for part in filter(None, os.path.dirname(path)[len(home.rstrip("/")) :].split("/")):
            at = os.path.realpath(f"{at}/{part}")
            if at != root and not at.startswith(f"{root.rstrip('/')}/"):
                raise Unpublishable(f"it leads out of your home folder: {path}")
            _make_own(at)
        return at, os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Unpublishable(f"cannot open its folder: {at}: {error.strerror}") from None


def _make_own(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    found = os.stat(folder)
    if found.st_uid != os.getuid() or found.st_mode & 0o002:
        raise Unpublishable(f"another user can change this folder: {folder}")


def _mode(at: int, name: str, umask: int) -> int:
    """Return the mode of the file there, else the one of a new file; Unpublishable: no file."""
    try:
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return 0o644 & ~umask
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        raise Unpublishable(f"not a regular file of yours: {name}")
    return found.st_mode & 0o777
