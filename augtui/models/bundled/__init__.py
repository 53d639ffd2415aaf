"""The default model: one small GGUF file, its card beside it."""
