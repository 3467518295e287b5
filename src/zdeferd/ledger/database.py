"""The SQLite file of the ledger: how it is opened, and how a transaction runs.

WAL with synchronous=FULL: what is committed survives a power cut. Assumes one daemon
(daemon/main.py holds the lock) and any number of read-only readers. Imports no msgspec:
reading.py shares the version of the schema.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import LedgerError, LedgerNewer, UnsafePath
from ..machine.files import open_file
from ..machine.paths import check_private_file

SCHEMA_VERSION = 8
"""`PRAGMA user_version`; a ledger with a larger one is refused untouched."""


def load_statements() -> dict[str, str]:
    """Return every statement of ledger.sql under its name."""
    with open(os.path.join(os.path.dirname(__file__), "ledger.sql"), encoding="utf-8") as file:
        blocks = file.read().split("-- name: ")[1:]
    heads = (block.partition("\n") for block in blocks)
    return {name: body for name, _, body in heads}


class Database:
    """One open ledger file, for reading and writing."""

    def __init__(self, path: str) -> None:
        """Open `path`, creating it where there is none; LedgerError where that fails."""
        self._sql = load_statements()
        try:
            _check_files(path)
            self.identity = _make_private(path)
            """Device and inode of the file that was opened."""
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            try:
                self._prepare(path)
            except (sqlite3.Error, LedgerError):
                self._db.close()  # now: the error may be kept, and with it the connection
                raise
        except UnsafePath as error:
            raise LedgerError(f"cannot open the ledger: {error}") from None
        except OSError as error:
            raise LedgerError(f"cannot open the ledger: {path}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise LedgerError(
                f"cannot open the ledger: {path}: {error}", "`zdeferctl doctor` says what to do"
            ) from None

    def _prepare(self, path: str) -> None:
        self._db.execute("PRAGMA busy_timeout = 5000")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LedgerNewer(
                f"the ledger is from a newer zdeferd (schema {version}, this one knows "
                f"{SCHEMA_VERSION}): {path}",
                "upgrade zdeferd, or move the file away",
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")  # what is pruned may be a value of `env`
        if version == 0:
            self._db.executescript(
                f"BEGIN IMMEDIATE; {self._sql['schema']}; "
                f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        elif version < SCHEMA_VERSION:
            steps = [self._sql[f"to_schema_{n}"] for n in range(version + 1, SCHEMA_VERSION + 1)]
            self._db.executescript(
                f"BEGIN IMMEDIATE; {''.join(steps)} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block whole or not at all; what it wrote is durable at its end."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Run a part of a transaction that is undone alone where it fails."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO part")
            raise
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE part")

    def close(self) -> None:
        """Close the connection; a clean close also empties the WAL."""
        self._db.close()

    def _run(self, name: str, **values: object) -> sqlite3.Cursor:
        try:
            return self._db.execute(self._sql[name], values)
        except UnicodeEncodeError:  # a path that is no UTF-8, in a text for people
            texts = {key: _escaped(value) for key, value in values.items()}
            return self._db.execute(self._sql[name], texts)

    def _one(self, name: str, **values: object) -> Any:
        return self._run(name, **values).fetchone()


def _check_files(path: str) -> None:
    """Raise UnsafePath where SQLite would follow a link or use a file that is not ours."""
    for file in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):
        if os.path.lexists(file):
            check_private_file(file)


def _make_private(path: str) -> tuple[int, int]:
    """Make the file before SQLite does; returns its device and inode.

    SQLite makes a file as the umask says, and its `-wal` and `-shm` with the file's mode.
    """
    fd = open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    return found.st_dev, found.st_ino


def connect_to_read(path: str) -> tuple[sqlite3.Connection, int]:
    """Return the connection and the schema version.

    A write-ahead log needs its `-shm` file even for reading. Where there is none and it
    cannot be created (a read-only file system), the file is read as immutable.
    """
    try:
        return _connect_with(path, "mode=ro")
    except sqlite3.OperationalError:
        if os.access(os.path.dirname(path), os.W_OK) or not os.access(path, os.R_OK):
            raise
        return _connect_with(path, "mode=ro&immutable=1")


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def stored_path(path: str) -> str | bytes:
    """Return a path as a column has it: text, or bytes where it is no UTF-8."""
    data = os.fsencode(path)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _connect_with(path: str, options: str) -> tuple[sqlite3.Connection, int]:
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(f"file://{quoted}?{options}", uri=True, timeout=2.0)
    try:
        return connection, connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error:
        connection.close()
        raise
