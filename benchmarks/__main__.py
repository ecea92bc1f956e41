"""`python -m benchmarks`, which `python3 dev.py bench` calls in an environment of its own."""

from benchmarks.run import main

raise SystemExit(main())
