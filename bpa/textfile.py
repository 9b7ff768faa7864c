"""Text files that people may have edited: read as UTF-8 in any dress, on every system alike."""

from __future__ import annotations

from pathlib import Path


def utf8_text(path: str | Path) -> str:
    r"""What a file says, with or without a byte order mark, its lines ended by "\n" or "\r\n".

    Raises:
        OSError: it cannot be read.
        ValueError: it is in another encoding. The caller names the file.
    """
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text; save it as UTF-8") from None
    return text.replace("\r\n", "\n")
