"""The exit codes of zdeferctl."""

DONE = 0
"""Done, or the answer is yes."""
NO = 1
"""The answer is no, the job failed, or the call did."""
USAGE = 2
"""The arguments are wrong."""
NO_DAEMON = 3
"""No daemon answers."""
INTERRUPTED = 130
"""Ctrl-C."""

USAGE_CODES = {"perf": NO, "docs": NO, "telemetry": NO}
"""The code of wrong arguments for verbs in which 2 means something else."""
