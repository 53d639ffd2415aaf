"""`python -m augtui` is `augtui`."""

from augtui.cli.start import entry

entry()
