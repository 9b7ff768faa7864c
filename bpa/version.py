"""Which version of the package this is."""

from __future__ import annotations

from importlib import metadata

__all__ = ["__version__"]

try:
    __version__ = metadata.version("backpropamine")  # its name among distributions; "bpa" is somebody else's
except metadata.PackageNotFoundError:  # only the folder is on the path, nothing says which version it is
    __version__ = "0+unknown"
