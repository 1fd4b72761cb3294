"""`python -m gipi` is the command `gipi`."""

from gipi.cli import main

main()
