"""`python -m benchmarks`, which `python3 dev.py bench` calls in an environment of its own."""

import signal
import sys

from benchmarks.run import main

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the child and removes the files, as Ctrl-C does
raise SystemExit(main())
