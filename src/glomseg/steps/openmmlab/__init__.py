"""A config of MMSegmentation as a training of glomseg, and in words."""
