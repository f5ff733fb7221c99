"""Speed, measured: `python -m bench NAME [--rows N] [--repeats N] [--json]`.

Every figure is of whole process trees, from the files a user has to the numbers he reads. Beside it stands
the floor of the same run, unpacking the files and finding their lines: machines differ and are shared.
"""
