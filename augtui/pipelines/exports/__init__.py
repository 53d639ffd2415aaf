"""Exports: training data in the formats of the tools that read it; `writer.write` is the one way in."""
