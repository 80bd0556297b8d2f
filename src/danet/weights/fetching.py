"""Files from a web server: what may be fetched, where to, and how."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from danet.errors import DanetError, WeightsError, one_line
from danet.files import cache_folder

__all__ = ["FetchOptions", "download"]

_TRIES = 4
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0  # seconds
_BLOCK = 1 << 20


@dataclass(frozen=True)
class FetchOptions:
    """What `find` may fetch, and where it keeps it; names and meanings are those of the Hub.

    Attributes:
        revision: branch, tag or commit of a repository on the Hub; None is its main branch.
        token: for a private repository; None is the one that ``hf auth login`` has kept.
        cache_dir: where fetched files are kept; None is the Hub's own cache, below ``HF_HOME``.
        local_files_only: fetch nothing.
        force_download: fetch again what is there.
    """

    revision: str | None = None
    token: str | bool | None = None
    cache_dir: str | os.PathLike[str] | None = None
    local_files_only: bool = False
    force_download: bool = False

    @property
    def offline(self) -> bool:
        """Whether nothing may be fetched, by these options or by ``HF_HUB_OFFLINE``."""
        from huggingface_hub import constants

        return self.local_files_only or constants.HF_HUB_OFFLINE

    @property
    def converted(self) -> Path:
        """The folder of what was converted from the authors' files."""
        return Path(self.cache_dir) / "danet" if self.cache_dir else cache_folder()


def download(url: str, part: Path) -> None:
    """Fetch a file, going on where an earlier try ended.

    A broken connection, a server that is busy or fails, and one that falls silent for longer than
    ``HF_HUB_DOWNLOAD_TIMEOUT`` (10 s) are tried again.  Proxies are those of the environment.

    Args:
        url: of the file.
        part: where it is kept; what it has already is taken as the beginning of the file.

    Raises:
        WeightsError: the server cannot be reached or refuses; what has come stays.
        DanetError: the file cannot be written; it is removed, as the disk may be full.
    """
    for attempt in range(1, _TRIES + 1):
        wait = 2.0 ** (attempt - 1)
        try:
            _receive(url, part)
            return
        except HTTPError as error:
            if error.code == 416:  # what is there is no beginning of the file
                part.unlink()
                continue
            problem, final = _answered(error)
            wait = min(_seconds(error.headers.get("Retry-After"), wait), _LONGEST_WAIT)
        except URLError as error:
            problem, final = f"cannot be reached: {one_line(error.reason)}", True
        except ValueError as error:  # no address at all
            problem, final = one_line(error), True
        except (HTTPException, OSError) as error:
            problem, final = f"the connection failed: {one_line(error)}", False
        if final or attempt == _TRIES:
            raise WeightsError(f"{url}: {problem}")
        time.sleep(wait)
    raise WeightsError(f"{url}: cannot be resumed")


def _answered(error: HTTPError) -> tuple[str, bool]:
    """What an answer that is no success says, and whether another try is useless."""
    advice = {
        401: ", so it must be logged in to",
        404: ", so there is no such file",
        407: ", so the proxy must be logged in to",
        429: ", so it is asked too often: try later",
    }
    said = f"the server answered {error.code} {error.reason}{advice.get(error.code, '')}"
    return said, error.code not in _TRANSIENT


def _seconds(text: str | None, default: float) -> float:
    return float(text) if text is not None and text.isdecimal() else default


def _receive(url: str, part: Path) -> None:
    from huggingface_hub import constants

    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "danet"} | ({"Range": f"bytes={done}-"} if done else {})
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    response: HTTPResponse
    with urlopen(Request(url, headers=headers), timeout=timeout) as response:
        resumed = response.status == 206
        done = done if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        # disable=None: no bar where standard error is not a terminal.
        bar = tqdm(
            total=total, initial=done, unit="B", unit_scale=True, desc=Path(url).name, disable=None
        )
        with _opened(part, "ab" if resumed else "wb") as file, bar:
            while block := response.read1(_BLOCK):
                _write(file, block)
                bar.update(len(block))
                done += len(block)
    if total is not None and done < total:
        raise ConnectionError(f"it ended after {done} of {total} bytes")


def _opened(part: Path, mode: str) -> FileIO:
    try:
        # Unbuffered, so that nothing is left to fail when it is closed.
        return FileIO(part, mode)
    except OSError as error:
        raise DanetError(f"{part}: cannot be written: {error.strerror}") from error


def _write(file: FileIO, block: bytes) -> None:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        with suppress(OSError):
            Path(file.name).unlink()
        raise DanetError(f"{file.name}: cannot be written: {error.strerror}") from error
