"""The benchmark suite: zdeferd beside what it replaces, in one run; see README.md."""
