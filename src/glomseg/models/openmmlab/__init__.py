"""OpenMMLab's configs and checkpoints: read, translated and written, without OpenMMLab."""
