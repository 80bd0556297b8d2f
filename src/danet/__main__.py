"""Run the command line by ``python -m danet``."""

import sys

from danet.cli import main

sys.exit(main())
