"""`zdeferctl check`: all problems at once, each with its place."""

from support.user import User, call


def test_nothing_to_complain_about(user: User) -> None:
    user.job_file('[build]\nrun = "true"\n')
    result = call("check")
    assert result.code == 0
    assert "valid: the settings and 1 job in ~/.config/zdeferd/jobs.d" in result.out


def test_all_at_once(user: User) -> None:
    user.job_file("[a]\nrun = 7\n\n[b]\nrum = 'x'\n", "a.toml")
    user.job_file("[c\n", "c.toml")
    (user.config / "config.toml").write_text("jobs_at_once = 0\n")
    result = call("check")
    assert result.code == 1
    for part in ("a.toml:2: a.run", "a.toml:5: b.rum", "c.toml:1", "config.toml:1: jobs_at_once"):
        assert part in result.out
    assert str(user.root) not in result.out
    document = call("check", "--json").document
    assert document["valid"] is False
    assert len(document["problems"]) == result.out.count("refused ")


def test_by_line_within_a_file(user: User) -> None:
    keys = "on = 1\nrun = 7\nafter = 3\nfrob = 1\n"
    user.job_file(f"[a]\n{keys}[b]\nrum = 'true'\n[c]\n{keys}", "a.toml")
    (user.config / "config.toml").write_text("frob = 1\njobs_at_once = 0\n")
    places = [p.split(": ")[0].split("/")[-1] for p in call("check", "--json").document["problems"]]
    assert places == sorted(places, key=lambda p: (p[0] != "c", int(p.partition(":")[2] or 0)))
    assert len(places) > 8
