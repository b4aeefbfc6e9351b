"""Necks: the features of a backbone in, as many features for the heads out."""
