"""Text files that people may have edited: read as UTF-8 in any dress, on every system alike."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def refuse_streams(path: str | Path) -> None:
    """Raise OSError if `path` is a pipe or a device, whose reading may never end; let folders pass."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def utf8_text(path: str | Path) -> str:
    r"""What a file says, with or without a byte order mark, its lines ended by "\n" or "\r\n".

    Raises:
        OSError: it cannot be read, or is a pipe or a device.
        ValueError: it is in another encoding. The caller names the file.
    """
    refuse_streams(path)
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text; save it as UTF-8") from None
    return text.replace("\r\n", "\n")
