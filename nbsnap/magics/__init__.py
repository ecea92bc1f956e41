"""The magics: parse, call, show. The only part of nbsnap that imports IPython.

`load` and `unload` are what `%load_ext` and `%unload_ext` come to (`loading`). `shell` declares the four magics, and
holds what lasts from one to the next; `settings` declares the settings. What a magic does is in a file of its own,
imported when the magic is first used: `saving`, `restoring`, `history`; so are `completing`, and `lines`, which
parses. Loading imports no pickler, no compressor and no array library: those wait for the first `%snapshot` or
`%restore`.
"""

from nbsnap.magics.loading import load, unload
from nbsnap.magics.shell import NbSnap

__all__ = ["NbSnap", "load", "unload"]
