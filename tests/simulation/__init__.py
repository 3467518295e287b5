"""zdeferd's real code on a machine that is played: see docs/reliability.md, Simulation."""
