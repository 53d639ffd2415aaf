"""llama.cpp as a backend; runs in the worker process only."""
