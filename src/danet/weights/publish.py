"""Networks uploaded to the Hugging Face Hub."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from danet.errors import WeightsError
from danet.networks import Kind
from danet.weights.cards import CardFacts, model_card
from danet.weights.catalogue import entry_of
from danet.weights.fetching import FetchOptions
from danet.weights.find import KINDS, find
from danet.weights.hub import problem
from danet.weights.sums import sha256_of, write_sums

__all__ = ["Target", "facts_of", "mirror", "publish"]


@dataclass(frozen=True)
class Target:
    """Where on the Hub to publish, and how.

    Attributes:
        repository: ``organisation/repository``, made if need be.
        message: of the commit.
        private: whether a repository that is made is private; None is the organisation's rule.
        token: with the right to write; None is the one that ``hf auth login`` has kept.
        branch: where to commit; None is the main branch.
        create_pr: propose the commit instead.
    """

    repository: str
    message: str = "Upload weights"
    private: bool | None = None
    token: str | None = None
    branch: str | None = None
    create_pr: bool = False


def publish(
    folders: Mapping[Kind, Path], facts: CardFacts, target: Target, *, sums: bool = False
) -> str:
    """Upload networks and a model card in one commit.

    Args:
        folders: each network's own folder; it becomes a folder of the repository.
        facts: what the model card says.
        target: where.
        sums: upload a list of the SHA-256 too, by which others verify what they fetch.

    Returns:
        The address of the commit.

    Raises:
        WeightsError: the Hub cannot be reached, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(token=target.token, library_name="danet")
    repository = target.repository
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        for kind, folder in folders.items():
            (root / kind).mkdir()
            for name in ("model.safetensors", "config.json"):
                shutil.copyfile(folder / name, root / kind / name)
        if sums:
            write_sums(root)
        if facts.picture is not None:
            shutil.copyfile(facts.picture, root / f"picture{Path(facts.picture).suffix}")
        try:
            api.create_repo(repository, private=target.private, exist_ok=True)
            kinds = [
                kind
                for kind in KINDS
                if kind in folders
                or api.file_exists(repository, f"{kind}/config.json", revision=target.branch)
            ]
            card = model_card(repository, kinds, facts)
            (root / "README.md").write_text(card, encoding="utf-8")
            # Not upload_folder, which may make several commits.
            commit = api.create_commit(
                repository,
                [
                    CommitOperationAdd(path.relative_to(root).as_posix(), path)
                    for path in sorted(root.rglob("*"))
                    if path.is_file()
                ],
                commit_message=target.message,
                revision=target.branch,
                create_pr=target.create_pr,
            )
        # The client's errors are those of another package in each major version.
        except Exception as error:
            raise WeightsError(f"{repository} on the Hub: {problem(error)}") from error
    return str(commit.commit_url)


def mirror(name: str, organisation: str, *, private: bool = False) -> tuple[str, dict[Kind, str]]:
    """Publish the networks of a name of the catalogue as ``organisation/danet-NAME``.

    Whoever sets ``DANET_WEIGHTS_ORG`` to the organisation loads them from there.

    Args:
        name: one of the catalogue.
        organisation: or user.
        private: whether only its members may load them.

    Returns:
        The address of the commit, and the SHA-256 of each file.

    Raises:
        WeightsError: the weights cannot be had; or as `publish`.
        DanetError: as `find`.
    """
    entry = entry_of(name)
    kinds = KINDS if entry is None else entry.kinds
    folders: dict[Kind, Path] = {kind: find(name, kind, FetchOptions()) for kind in kinds}
    target = Target(
        f"{organisation}/danet-{name}", message=f"Mirror the weights {name}", private=private
    )
    address = publish(folders, facts_of(name), target, sums=True)
    hashes = {kind: sha256_of(folder / "model.safetensors") for kind, folder in folders.items()}
    return address, hashes


def facts_of(name: str) -> CardFacts:
    """What the catalogue says of a name, for a model card; of others it says nothing."""
    entry = entry_of(name)
    if entry is None:
        return CardFacts()
    return CardFacts(
        licence="other" if entry.shipped else "unknown",
        data=entry.data.split("; "),
        figures=entry.figures,
        text=f"{entry.purpose}.\n\nSource: {entry.source}.  Licence: {entry.licence}.",
    )
