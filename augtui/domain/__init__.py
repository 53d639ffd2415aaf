"""What augtui speaks about: records, tasks and their templates, the guard; no I/O."""
