"""Families of networks: a backbone and heads, composed.

Each builder takes ``n_classes`` and its own options by keyword and returns a network with fresh weights. The
annotations of the options say which values are sensible; `build_model` checks them.
"""
