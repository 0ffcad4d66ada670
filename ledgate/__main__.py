"""`python -m ledgate`."""

from ledgate.cli import main

main()
