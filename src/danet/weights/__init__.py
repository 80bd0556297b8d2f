"""Where weights are, and how they are fetched, checked, loaded, saved and published."""

from typing import TYPE_CHECKING

from danet.lazy import names_of
from danet.weights.cards import CardFacts
from danet.weights.catalogue import CATALOGUE, Entry
from danet.weights.fetching import FetchOptions
from danet.weights.find import KINDS, at_hand, find, find_if_there, load, names

if TYPE_CHECKING:
    from danet.networks import Kind
    from danet.weights.folder import load_checkpoint, load_network, save_network
else:
    _OF_FOLDER = ("Kind", "load_checkpoint", "load_network", "save_network")
    __getattr__ = names_of(__name__, dict.fromkeys(_OF_FOLDER, "folder"))

__all__ = [
    "CATALOGUE",
    "KINDS",
    "CardFacts",
    "Entry",
    "FetchOptions",
    "Kind",
    "at_hand",
    "find",
    "find_if_there",
    "load",
    "load_checkpoint",
    "load_network",
    "names",
    "save_network",
]
