"""The kinds of tubules that are painted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TubuleKind:
    """How tubules of one kind are painted; pairs are the ends of a uniform range, amounts are of dye.

    `clear_share` is how empty the lumen is, `cast` the PAS-positive content of some lumens.
    """

    hematoxylin: tuple[float, float]
    pas: tuple[float, float]
    epithelium_um: tuple[float, float]
    foam: float
    cast: tuple[float, float]
    nucleus_spacing_um: tuple[float, float]
    nucleus_um: float
    membrane_pas: tuple[float, float]
    membrane_um: float


TUBULE_KINDS = {
    "proximal": TubuleKind(
        hematoxylin=(0.05, 0.15), pas=(0.10, 0.22), epithelium_um=(11, 19), foam=0.55, cast=(0.0, 0.05),
        nucleus_spacing_um=(12, 24), nucleus_um=6.6, membrane_pas=(0.30, 0.50), membrane_um=0.9,
    ),
    "distal": TubuleKind(
        hematoxylin=(0.06, 0.14), pas=(0.07, 0.14), epithelium_um=(6, 10), foam=0.35, cast=(0.01, 0.03),
        nucleus_spacing_um=(9.5, 15), nucleus_um=6.0, membrane_pas=(0.26, 0.42), membrane_um=0.8,
    ),
    "clear": TubuleKind(
        hematoxylin=(0.02, 0.06), pas=(0.03, 0.07), epithelium_um=(7, 11), foam=0.6, cast=(0.01, 0.03),
        nucleus_spacing_um=(9.5, 15), nucleus_um=6.2, membrane_pas=(0.26, 0.42), membrane_um=0.8,
    ),
    "crowded": TubuleKind(
        hematoxylin=(0.09, 0.18), pas=(0.12, 0.24), epithelium_um=(9, 16), foam=0.5, cast=(0.02, 0.08),
        nucleus_spacing_um=(6, 9), nucleus_um=6.0, membrane_pas=(0.36, 0.55), membrane_um=1.1,
    ),
    "cast": TubuleKind(
        hematoxylin=(0.05, 0.10), pas=(0.10, 0.18), epithelium_um=(4, 7), foam=0.25, cast=(0.35, 0.65),
        nucleus_spacing_um=(10, 18), nucleus_um=5.5, membrane_pas=(0.42, 0.6), membrane_um=1.3,
    ),
    "atrophic": TubuleKind(
        hematoxylin=(0.10, 0.18), pas=(0.16, 0.26), epithelium_um=(6, 9), foam=0.4, cast=(0.03, 0.25),
        nucleus_spacing_um=(8, 12), nucleus_um=5.6, membrane_pas=(0.45, 0.62), membrane_um=2.2,
    ),
    "fat": TubuleKind(
        hematoxylin=(0.01, 0.03), pas=(0.05, 0.10), epithelium_um=(0.3, 0.8), foam=0.2, cast=(0.0, 0.004),
        nucleus_spacing_um=(60, 120), nucleus_um=4.5, membrane_pas=(0.12, 0.22), membrane_um=1.0,
    ),
}  # fmt: skip
