"""Let `python -m serab_lib.cli` run the program."""

from serab_lib.cli import main

main()
