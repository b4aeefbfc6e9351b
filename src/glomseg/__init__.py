"""Find, measure and honestly evaluate glomeruli in kidney histology.

The public names are listed in ``__init__.pyi`` and loaded on first use, so importing glomseg is quick
and does not import torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
