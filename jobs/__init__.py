"""The commands, one file each behind the ``s2sw`` command line."""
