"""Mask2Former: queries that each find one mask and name its class.

A pixel decoder joins the features of a backbone, a transformer decoder lets the queries look at them, and a head
reads a class and a mask off every query. Entry names in the state dict are OpenMMLab's.
"""
