"""`python -m pgstrata` is the command line."""

from pgstrata.cli.main import main

main()
