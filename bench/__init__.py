"""The benchmark suite: zdeferd beside what it replaces, in one run. README.md says how."""
