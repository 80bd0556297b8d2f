"""Save the mean of the weights of several denoisers, each with its share.

    python tools/mean.py runs/photo-19/model/denoiser photo=0.5 runs/photo-17-denoiser=0.5

Networks that were tuned from one start lie in one basin, where their mean errs less than each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from danet import weights


def main() -> None:
    """Load them, and save their mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("output", type=Path, metavar="FOLDER")
    parser.add_argument("parts", nargs="+", metavar="NAME=SHARE")
    options = parser.parse_args()
    names, shares = zip(*(part.rsplit("=", 1) for part in options.parts), strict=True)
    if abs(sum(map(float, shares)) - 1) > 1e-6:
        parser.error(f"the shares are {', '.join(shares)}, and must have the sum 1")
    networks = [weights.load_network(weights.find(name, "denoiser"), "denoiser") for name in names]
    states = [network.state_dict() for network in networks]
    weighed = list(zip(map(float, shares), states, strict=True))
    mean = {key: sum(share * state[key] for share, state in weighed) for key in states[0]}
    networks[0].load_state_dict(mean)
    about = ", ".join(options.parts)
    weights.save_network(networks[0], options.output, f"The mean of the weights of {about}.")


if __name__ == "__main__":
    main()
