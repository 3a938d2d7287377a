"""`python -m convscope`, which is how `torchrun -m convscope` finds the command."""

import sys

from convscope.cli.main import main

sys.exit(main())
