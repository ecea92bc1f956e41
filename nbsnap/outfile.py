"""A file that the user asked for by its name: written whole or not at all, for the user's eyes only.

It is made beside its place and renamed into it, mode 0600. An ordinary file that is there is replaced. A link is not
followed, and what is no file (a folder, a device) is left alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

from nbsnap.errors import NbSnapError

__all__ = ["write"]


def write(file: str, text: str) -> None:
    """Write a text, in UTF-8."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(file).st_mode):
            raise NbSnapError(f"{file} is not an ordinary file, so it was not replaced")
    spare = os.path.join(os.path.dirname(file), f".{os.path.basename(file)}.{secrets.token_hex(4)}")
    try:
        with open(
            os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline="\n"
        ) as out:
            out.write(text)
        os.replace(spare, file)
    except FileNotFoundError:
        raise NbSnapError(f"cannot write {file}: there is no such folder") from None
    except OSError as error:
        raise NbSnapError(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(spare)
