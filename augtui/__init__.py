"""augtui: a terminal workbench that makes fine-tuning data with small, specialised language models."""

__version__ = "0.1.0"
