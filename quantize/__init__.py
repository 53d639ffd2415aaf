"""Hugging Face checkpoint -> GGUF -> quantized GGUF: run as `python -m quantize CHECKPOINT -o OUT.gguf`."""
