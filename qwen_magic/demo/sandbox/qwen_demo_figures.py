"""A matplotlib backend for the child process: a shown figure becomes a PNG file and is closed."""

from __future__ import annotations

import os
from typing import Any

from matplotlib import pyplot
from matplotlib._pylab_helpers import Gcf
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

FigureCanvas = FigureCanvasAgg
FigureManager = FigureManagerBase


def show(*arguments: Any, **options: Any) -> None:
    """Save every open figure, in order, then close them: a figure is shown once."""
    folder = os.environ["QWEN_DEMO_FIGURES"]
    for manager in Gcf.get_all_fig_managers():
        number = len(os.listdir(folder)) + 1
        path = os.path.join(folder, f"fig-{number:03}.png")
        manager.canvas.figure.savefig(path, dpi=100, bbox_inches="tight")
    pyplot.close("all")
