"""`python -m augtui` is `augtui`."""

from augtui.cli.main import entry

entry()
