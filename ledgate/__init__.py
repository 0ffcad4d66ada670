"""Ledgate: the composition root. Command line, settings, supervisor, migrations, demo."""
