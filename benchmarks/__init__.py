"""Side-by-side measurements: each a command, each printing its table and, with --json, its figures."""
