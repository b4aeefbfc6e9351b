"""Whole slides: reading them at any resolution, finding their tissue, and the annotations drawn on them."""
