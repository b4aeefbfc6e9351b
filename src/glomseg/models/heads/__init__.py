"""Heads that turn the features of a backbone into class logits.

A head is called with all features of the backbone, in its order, and takes the ones it needs. Its logits
have the resolution of its own features; enlarging them is left to whoever knows the size that is wanted.
"""
