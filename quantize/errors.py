"""The errors that conversion and quantization raise."""


class ConversionError(ValueError):
    """A checkpoint, vocabulary or type that cannot become a GGUF file; the message says why and what to do."""


class MissingLibrary(ConversionError):
    """A library that is not installed; the message says which, and how to install it."""
