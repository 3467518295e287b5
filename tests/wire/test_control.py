"""Requests and replies: they survive the trip, and noise is a WireError and nothing worse."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.errors import WireError
from zdeferd.model import Trigger
from zdeferd.wire import control


@pytest.mark.parametrize(
    "request_",
    [
        control.Ping(),
        control.RunJob(job="x", env={"A": "b"}, env_bytes={"B": b"\xff"}),
        control.CancelRun(run=3),
        control.AwaitRun(run=4),
        control.Switch(job="x", enabled=False),
        control.Pause(lanes=[Trigger.IDLE]),
        control.Resume(lanes=[Trigger.IDLE, Trigger.POSTPROMPT]),
        control.RetryRun(run=5),
        control.Forget(job="x", force=True),
        control.Reload(),
        control.Stop(),
    ],
)
def test_requests_survive_the_trip(request_: control.Request) -> None:
    assert control.decode_request(control.encode_request(request_)) == request_


def test_any_bytes_of_an_environment_survive_the_trip() -> None:
    env = {"A": "é", "PATH": os.fsdecode(b"/bin:/\xe9"), os.fsdecode(b"LC_\xff"): "x", "E": ""}
    request = control.decode_request(control.encode_request(control.run_job("x", env)))
    assert isinstance(request, control.RunJob)
    assert control.environment_of(request) == {"A": "é", "PATH": env["PATH"], "E": ""}


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_a_request_of_noise_is_a_wire_error(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        control.decode_request([b"request", *frames])


def test_a_request_whose_verb_is_no_text_is_a_wire_error() -> None:
    with pytest.raises(WireError):
        control.decode_request([b"request", b"\x81\xa4verb\xa4\x98ing"])


def test_replies_and_refusals() -> None:
    done = control.Done(outcome="failed", rc=3)
    assert control.decode_reply(control.encode_reply(done)) == done
    assert control.decode_reply([b"refused", b"no such job: x"]) == "no such job: x"
