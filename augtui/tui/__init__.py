"""The terminal app. Nothing here loads Textual before `augtui.tui.app` is imported."""
