"""`python -m hpclab.cli`, for an environment whose scripts are not on PATH."""

from hpclab.cli import main

raise SystemExit(main())
