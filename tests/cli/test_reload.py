"""`zdeferctl reload`: new jobs count at once, bad ones are listed."""

from support.daemon import Daemon
from support.user import User, call


def test_new_and_bad_jobs(user: User, daemon: Daemon) -> None:
    daemon.start()
    assert call("reload").out == "0 jobs of files in force\n"
    daemon.write_jobs('[good]\nrun = "true"\n')
    assert call("reload") == (0, "1 job of files in force\n", "")
    daemon.write_jobs("[bad]\nrun = 7\n", "bad.toml")
    result = call("reload")
    assert result.code == 1
    assert "1 job of files in force" in result.out
    assert "bad.toml:2: bad.run" in result.out
    assert call("reload", "--json").document["jobs"] == 1


def test_no_daemon(user: User) -> None:
    assert call("reload").code == 3
