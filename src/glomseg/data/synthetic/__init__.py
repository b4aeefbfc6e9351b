"""Synthetic PAS-stained kidney cortex with exact truth: tiles, slides and whole data sets from a seed."""

from glomseg.data.synthetic.dataset import GENERATOR_VERSION, write_synthetic_dataset
from glomseg.data.synthetic.look import SlideLook, draw_slide_look
from glomseg.data.synthetic.slide import write_synthetic_slide
from glomseg.data.synthetic.tile import draw_tile

__all__ = [
    "GENERATOR_VERSION",
    "SlideLook",
    "draw_slide_look",
    "draw_tile",
    "write_synthetic_dataset",
    "write_synthetic_slide",
]
