"""What can be wrong with a landing file as a whole."""

from __future__ import annotations


class FileRefused(ValueError):
    """This file can never be taken in as it is: not a log, not this source's format, or a bomb."""

    # Known once the bytes were hashed, that is for all but what is no regular file.
    file_id: str | None = None


class FileChanged(RuntimeError):
    """The file was replaced, changed or removed while it was read: nothing is recorded, try again later."""
