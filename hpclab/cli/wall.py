"""`hpclab wall`: the speedups that a class shows, in words, and as a picture where one is asked for."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", default="", help="the class's folder (default: HPCLAB_WALL)")
    parser.add_argument("--lesson", default="05", metavar="NN", help="whose points (default: 05)")
    parser.add_argument("--save", metavar="FILE", help="write the picture of the speedups there, as SVG")


def run(options: argparse.Namespace) -> int:
    from hpclab.figures import style
    from hpclab.widgets.wall import WallReader

    figures, said = WallReader(options.lesson, options.folder).figures()
    for figure in figures:
        print(figure.axes[0].get_title("left") + ".", style.description(figure))
    if said:
        print(said)
    if options.save:
        Path(options.save).write_text(style.svg(figures[0]), encoding="utf-8")
    return 0
