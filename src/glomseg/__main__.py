"""Allow ``python -m glomseg``."""

from glomseg.cli.main import main

main()
