"""Pretrained backbones of other libraries: their files, their names, and how they come into our networks."""
