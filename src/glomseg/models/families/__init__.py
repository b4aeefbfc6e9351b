"""Families of networks: which backbone and heads go together, and what of them can be chosen.

Each function takes its options by keyword and returns the description of a network: what `compose` builds, and what is
written for OpenMMLab. The annotations of the options say which values are sensible; `build_model` checks them.
"""
