"""Engines: what turns prompts into text. Importing this package loads no native library."""
