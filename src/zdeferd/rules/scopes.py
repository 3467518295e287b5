"""The key of a scope: a claim is unique on the job and this key."""

from hashlib import blake2b

from ..model import Scope


def scope_key(scope: Scope, nonce: str, boot: str, day: str) -> str:
    """Return the key of every scope but `change`.

    `nonce` names the shell, `boot` the boot; `day` is the local date, ISO 8601.
    """
    spans = {Scope.SHELL: nonce, Scope.BOOT: boot, Scope.DAY: day}
    return f"{scope}:{spans[scope]}" if scope in spans else str(scope)


def change_key(generation: int) -> str:
    """Return the key of scope `change`: it counts the generations of the inputs."""
    return f"{Scope.CHANGE}:{generation}"


def aside_key(key: str, path: str, fingerprint: str = "") -> str:
    """Return the key to which a claim under `key` goes where PATH lacked the job's command.

    `fingerprint` is what a job of scope change saw: it is due again under the same PATH when
    its inputs change.
    """
    found = blake2b(f"{path}\0{fingerprint}".encode(errors="surrogateescape"), digest_size=8)
    return f"{key}:without:{found.hexdigest()}"


def here_key(nonce: str, seq: int, number: int) -> str:
    """Return the key of work that a shell has done itself: the `number`th of its message `seq`."""
    return f"here:{nonce}:{seq}:{number}"


def retry_key(run: int) -> str:
    """Return the key of the run that tries again what `run` failed to do."""
    return f"retry:{run}"


def request_key(name: str) -> str:
    """Return the key of one run that a user asked for by hand; `name` is used once."""
    return f"run:{name}"
