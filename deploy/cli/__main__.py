"""`python -m deploy.cli` is `contactbus`."""

from deploy.cli import main

main(prog_name="contactbus")
