"""`python -m lipcert.check CERTIFICATE [ORIGINAL COMPRESSED]`: without the rest of lipcert."""

import sys
from pathlib import Path

from lipcert.check import check

found, *models = map(Path, sys.argv[1:])
answer, reason = check(found, tuple(models) or None)
sys.stdout.write(f"{answer}: {reason}\n")
sys.exit(answer.status)
