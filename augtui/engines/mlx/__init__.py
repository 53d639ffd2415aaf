"""mlx-lm as a backend; runs in the worker process only."""
