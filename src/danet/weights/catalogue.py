"""The weights that have a name: what they are, whose they are, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danet.networks import Kind

__all__ = [
    "AUTHORS_FILES",
    "AUTHORS_FOLDER",
    "CATALOGUE",
    "KINDS",
    "Entry",
    "entry_of",
]

KINDS: tuple[Kind, ...] = ("denoiser", "generator")

AUTHORS_FOLDER = (
    "https://raw.githubusercontent.com/zsyOAOA/DANet/"
    "ea4d714168150e48c66ef0439ea1966342512b0a/model_states"
)
"""Where the authors of the paper publish their files: a commit, which cannot change."""

AUTHORS_FILES: Mapping[str, str] = MappingProxyType(
    {
        "DANet.pt": "dd85da16110e68c9f35673f97dcdf0b77015254b",
        "DANetPlus.pt": "d14a8b0d29e3f390a98b4fa63a2f5ad065cb97dd",
        "GDANet.pt": "c854a8ab2055b9ed5805e36f1597a486418b8e3e",
        "GDANetPlus_fake025.pt": "2cf0b8313bd7720c0712517f19ce15df23cb5ffc",
        "GDANetPlus_fake05.pt": "b1f48f4367f7bc557b2a61eda9859fadeb78c730",
    }
)
"""Their files, with the git blob id of each."""


@dataclass(frozen=True)
class Entry:
    """What the catalogue says of one name.

    Attributes:
        purpose: what the networks are, and what they are for.
        data: what they were trained on.
        licence: the identifier of the licence, or what is known instead.
        figures: published or measured results: for each data set its metrics, PSNR in dB.
        shipped: whether they come with the package.
        files: for each network, the file of the authors that holds it.
        repository: where they are on the Hub, ``organisation/repository``; None is nowhere.
        revision: the commit there.
        sha256: for each network, that of its ``model.safetensors``; where there is none, that of
            the repository's own list is taken.
        megabytes: of all the networks in float32, or as they are shipped.
    """

    purpose: str
    data: str
    licence: str
    figures: Mapping[str, Mapping[str, float]]
    megabytes: int
    shipped: bool = False
    files: Mapping[Kind, str] = field(default_factory=dict)
    repository: str | None = None
    revision: str | None = None
    sha256: Mapping[Kind, str] = field(default_factory=dict)

    @property
    def kinds(self) -> list[Kind]:
        """Which networks there are; of a name that is elsewhere, both may be."""
        known = self.files or self.sha256
        return [kind for kind in KINDS if kind in known or not known]

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        if self.shipped:
            return "ships with danet"
        if self.repository is not None:
            return f"{self.repository} on the Hub"
        return f"the paper's authors, {' and '.join(dict.fromkeys(self.files.values()))}"

    @property
    def results(self) -> str:
        """The figures in words."""
        return "; ".join(
            f"{data} {', '.join(f'{metric.upper()} {value:g}' for metric, value in found.items())}"
            for data, found in self.figures.items()
        )


_NOT_STATED = "not stated by the authors"
_SIDD = "SIDD-Medium"
_GENERAL = "SIDD-Medium, RENOIR, PolyU"
_FLICKR = f"{_GENERAL}; clean pictures of MIR Flickr with generated noise"

# Figures are the paper's own, but those of the shipped weights.
CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        "photo": Entry(
            purpose="denoiser and noise generator for photographs",
            data="PolyU; clean pictures of Kodak, BSDS500, Urban100, DIV2K, Flickr and CC0",
            licence="LicenseRef-danet-weights, non-commercial use",
            figures={
                "PolyU, val crops": {"psnr": 39.57, "ssim": 0.9668, "akld": 0.384},
                "nam25": {"psnr": 43.32, "ssim": 0.9852},
            },
            megabytes=19,
            shipped=True,
            sha256={
                "denoiser": "504a2870c7d57872bfacd0f902df4b745631a25f7fb4b7b212c92f5386448cf8",
                "generator": "7c2c9e3be8a2745d6d1113387035773eeb94346b7ed948071926085302c7e40b",
            },
        ),
        "photo-fast": Entry(
            purpose="denoiser for photographs, three times as fast as photo",
            data="PolyU; clean pictures of Kodak, BSDS500, Urban100, DIV2K, Flickr and CC0",
            licence="LicenseRef-danet-weights, non-commercial use",
            figures={
                "PolyU, val crops": {"psnr": 39.41, "ssim": 0.9649},
                "nam25": {"psnr": 43.18, "ssim": 0.9848},
            },
            megabytes=6,
            shipped=True,
            sha256={"denoiser": "07c9326a335ed13a249e816410366ce3f08fa83611ba0a8c2f4bea8b6c4985ff"},
        ),
        "sidd": Entry(
            purpose="DANet+ for phone pictures; its generator is DANet's",
            data=_SIDD,
            licence=_NOT_STATED,
            figures={
                "SIDD val": {"psnr": 39.47, "ssim": 0.918, "pgap": 2.06, "akld": 0.212},
                "SIDD test": {"psnr": 39.43, "ssim": 0.956},
            },
            megabytes=73,
            files={"denoiser": "DANetPlus.pt", "generator": "DANet.pt"},
        ),
        "sidd-danet": Entry(
            purpose="DANet for phone pictures, both trained jointly",
            data=_SIDD,
            licence=_NOT_STATED,
            figures={
                "SIDD val": {"psnr": 39.30, "ssim": 0.916, "pgap": 2.06, "akld": 0.212},
                "SIDD test": {"psnr": 39.25, "ssim": 0.955},
            },
            megabytes=73,
            files={"denoiser": "DANet.pt", "generator": "DANet.pt"},
        ),
        "general": Entry(
            purpose="GDANet for pictures of any camera, both trained jointly",
            data=_GENERAL,
            licence=_NOT_STATED,
            figures={
                "DND": {"psnr": 39.47, "ssim": 0.9548},
                "Nam": {"psnr": 39.91, "ssim": 0.9693},
            },
            megabytes=73,
            files={"denoiser": "GDANet.pt", "generator": "GDANet.pt"},
        ),
        "general-plus-dnd": Entry(
            purpose="GDANet+ with fake ratio 0.5, as for DND; its generator is GDANet's",
            data=_FLICKR,
            licence=_NOT_STATED,
            figures={"DND": {"psnr": 39.58, "ssim": 0.9545}},
            megabytes=73,
            files={"denoiser": "GDANetPlus_fake05.pt", "generator": "GDANet.pt"},
        ),
        "general-plus-nam": Entry(
            purpose="GDANet+ with fake ratio 0.25, as for Nam; its generator is GDANet's",
            data=_FLICKR,
            licence=_NOT_STATED,
            figures={"Nam": {"psnr": 39.79, "ssim": 0.9689}},
            megabytes=73,
            files={"denoiser": "GDANetPlus_fake025.pt", "generator": "GDANet.pt"},
        ),
    }
)
"""The one table of names."""


def entry_of(name: object) -> Entry | None:
    """The entry of a name; None where there is none.

    Example:
        >>> entry_of("other") is None
        True
    """
    return CATALOGUE.get(name) if isinstance(name, str) else None
