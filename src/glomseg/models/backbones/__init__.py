"""Backbones: (B, 3, H, W) images in, a tuple of features out.

Features come finest first, with two exceptions: those of `UNet` come coarsest first, and those of `FastSCNN` are
its two branches and what they give together. So heads keep the feature numbers of OpenMMLab's configs.
"""
