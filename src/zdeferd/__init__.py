"""zdeferd: a per-user daemon that takes slow work off the zsh prompt."""

__version__ = "0.2.0"
