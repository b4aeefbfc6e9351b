"""Backbones: (B, 3, H, W) images in, a tuple of features out, finest first."""
