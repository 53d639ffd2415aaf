"""The command line: one thin front over the pipelines."""
