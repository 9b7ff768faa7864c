"""python -m bpa: the command line."""

import sys

from bpa.cli import main

sys.exit(main())
