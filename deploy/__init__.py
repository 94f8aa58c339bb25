"""Composition root and operations: command line, wiring, migrations, benches, demo."""
