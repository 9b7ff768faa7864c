"""What is to be seen: pictures, learning curves, films, and figures that live in a page.

`explore` and `predict` are here for notebooks: `from bpa.show import explore, predict, plots, widgets`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpa.show.controls import explore as explore
    from bpa.show.questions import predict as predict

__all__ = ["explore", "predict"]


def __getattr__(name: str) -> Any:
    """Both when they are asked for: they bring ipywidgets along, which a command line does not need."""
    if name == "explore":
        from bpa.show.controls import explore

        return explore
    if name == "predict":
        from bpa.show.questions import predict

        return predict
    raise AttributeError(f"module 'bpa.show' has no attribute {name!r}")
