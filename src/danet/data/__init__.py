"""Pairs of noisy and clean pictures: finding, checking, packing, and drawing patches."""

from danet.data.container import PackedPairs, PairWriter
from danet.data.layouts import polyu_clean, polyu_pairs, source_pairs
from danet.data.pairs import Pair, fingerprint, folder_pairs, read_pair, spread
from danet.data.patches import Mixture, PairPatches
from danet.data.pictures import Pixels, check_same_size, middle, picture_files, read_picture, scaled
from danet.data.screening import Limits, screened_tiles

__all__ = [
    "Limits",
    "Mixture",
    "PackedPairs",
    "Pair",
    "PairPatches",
    "PairWriter",
    "Pixels",
    "check_same_size",
    "fingerprint",
    "folder_pairs",
    "middle",
    "picture_files",
    "polyu_clean",
    "polyu_pairs",
    "read_pair",
    "read_picture",
    "scaled",
    "screened_tiles",
    "source_pairs",
    "spread",
]
