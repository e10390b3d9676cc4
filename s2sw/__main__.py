"""``python -m s2sw``: the command line."""

from s2sw.jobs.cli import main

main()
