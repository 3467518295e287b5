"""Privacy, end to end: jobs full of secrets run, and no telemetry file holds any of it."""

from support.daemon import Daemon, Peer, listed, visit

from zdeferd.telemetry.lines import parse

SECRET = "hunter2"


def test_telemetry_holds_nothing_private(daemon: Daemon) -> None:
    folder = daemon.home / SECRET
    folder.mkdir()
    log = folder / "seg.log"
    daemon.write_jobs(
        f'["file-job"]\nrun = ["/bin/echo", "{SECRET}"]\nenv = {{ TOKEN = "{SECRET}" }}\n'
        f'description = "{SECRET}"\n["no-such"]\nrun = ["{folder}/{SECRET}"]'
    )
    daemon.start()
    env = {
        "HOME": str(daemon.home),
        "PATH": f"/bin:/usr/bin:{folder}",
        "SSH_AUTH_SOCK": f"{folder}/agent",
        "PERF_SEGMENT_LOG": str(log),
        "PERF_SAMPLE_CONTEXT": f"{SECRET} in a context",
        "ZSH_LOG_STRUCTURED": "1",
    }
    code = f"print {SECRET}; print -u2 {SECRET} $TOKEN; return 5"
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"own": code}, env, env=f"TOKEN={SECRET}"))
        words = f"defer\0quiet\0quiet\0idle\0{SECRET}".encode()
        travels = [b"functions", listed(b"quiet", code.encode()), b"jobs", listed(words)]
        peer.ask([*visit("n1", 2, environ=env), *travels])
        peer.ask(visit("n1", 3, event=b"idle", environ=env))
        peer.ask(visit("n1", 4, {f"{SECRET}/bad": code, "x\n" + SECRET: code}, env))
    daemon.wait_until_done(4)
    lines = log.read_text().splitlines()
    assert len(lines) >= 4 + 1 + 3
    assert all(parse(line) is not None for line in lines)
    for file in (log, folder / "seg.jsonl"):
        text = file.read_text()
        assert SECRET not in text
        assert str(daemon.home) not in text


def test_without_the_sidecar_not_a_byte_of_json(daemon: Daemon) -> None:
    daemon.start()
    env = {"PERF_SEGMENT_LOG": str(daemon.home / "seg.log"), "ZSH_PERF_JSON": "1"}
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "true"}, env))
    daemon.wait_until_done(1)
    assert not list(daemon.home.rglob("*.json*"))
    assert "{" not in (daemon.home / "seg.log").read_text()


def test_the_ledger_and_the_output_are_the_users_alone(daemon: Daemon) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "print out"}))
    daemon.wait_until_done(1)
    for path in [daemon.state, *daemon.state.rglob("*"), daemon.socket, daemon.socket.parent]:
        allowed = 0o700 if path.is_dir() else 0o600
        assert path.lstat().st_mode & 0o777 == allowed, path
