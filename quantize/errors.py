"""The one error that conversion and quantization raise for bad input."""


class ConversionError(ValueError):
    """A checkpoint, vocabulary or type that cannot become a GGUF file; the message says why and what to do."""
