"""The settings: `c.NbSnap.…`, and what they come to as arguments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from IPython.core.magic import Magics
from traitlets import Bool, Dict, Enum, Float, List, TraitError, Unicode, validate

from nbsnap import host
from nbsnap.arguments import split
from nbsnap.errors import NbSnapError
from nbsnap.parts import BESIDE

__all__ = ["Settings"]


class Settings(Magics):
    """What a user may set, in ipython_config.py or by `%config`."""

    store = Unicode(
        "", help="Where snapshots are kept; empty: .nbsnap beside the notebook. NBSNAP_STORE overrides it."
    ).tag(config=True)
    notebook = Unicode("", help="The notebook that snapshots belong to; empty: as the front end tells.").tag(
        config=True
    )
    exclude = List(Unicode(), help="Names and globs of variables that are never saved.").tag(config=True)
    engine = Enum(
        ["auto", "dill", "cloudpickle"],
        default_value="auto",
        help="The pickler: auto (the fast one, dill where only dill can), or dill or cloudpickle for everything.",
    ).tag(config=True)

    previews = Bool(
        True, help="Keep the first rows of frames, small figures and the like, to be shown without loading anything."
    ).tag(config=True)

    include_secrets = Bool(
        False, help="Save what looks like a secret, too: passwords, tokens, keys. In what is shown it is masked."
    ).tag(config=True)
    secret_names = List(
        Unicode(), help="Names and globs of variables, keys and attributes that are secrets, whatever text they hold."
    ).tag(config=True)
    secret_values = List(Unicode(), help="Regular expressions of texts that are secrets.").tag(config=True)
    not_secret = List(
        Unicode(), help="Names and globs of what is no secret; and kinds that are not looked for (json-web-token)."
    ).tag(config=True)

    beside = List(
        Enum(BESIDE),
        default_value=list(BESIDE),
        help="What is kept and put back beside the variables.",
    ).tag(config=True)
    reload_extensions = Bool(
        False, help="Let %restore load the extensions of IPython that the session had, and choose its %matplotlib mode."
    ).tag(config=True)

    map = Bool(
        True,
        help="Let %restore map big arrays from the store's files, where that is safe, instead of reading them.",
    ).tag(config=True)

    verify_timeout = Float(120.0, help="Seconds that the fresh process of %snapshot --verify is given.").tag(
        config=True
    )
    autosnapshot = Float(
        0, min=0, help="Seconds between snapshots that are taken by themselves, after cells; 0 for none."
    ).tag(config=True)
    autosnapshot_share = Float(
        0.02, min=0.0001, max=1, help="How much of the session's time autosnapshots may take at most."
    ).tag(config=True)
    snapshot_on_exit = Bool(
        False, help="Take a snapshot when the kernel or the shell ends, in the time that Jupyter grants (2 seconds)."
    ).tag(config=True)
    autorestore = Enum(
        ["ask", "never", "always"],
        default_value="ask",
        help="What a session does that begins where there is a snapshot: say so, nothing, or restore it.",
    ).tag(config=True)

    keep = Dict(
        help="What stays when the history is thinned: {'last': 10, 'hourly': 24, 'daily': 7}; empty: all of it.",
    ).tag(config=True)
    max_size = Unicode("", help="How large the history of a notebook may grow: '10 GB'; empty: any size.").tag(
        config=True
    )

    cache_size = Unicode(
        "", help="How much of what was fetched from buckets is kept on this machine: '4 GB', which is the default; '0'."
    ).tag(config=True)

    @validate("cache_size")
    def _valid_size(self, proposal: Any) -> Any:
        from nbsnap.cache import set_limit

        try:
            set_limit(proposal["value"])
        except NbSnapError as error:
            raise TraitError(f"NbSnap.cache_size: {error}") from None
        return proposal["value"]

    @validate("keep", "max_size")
    def _valid_rules(self, proposal: Any) -> Any:
        from nbsnap.keep import rules_of

        name, value = proposal["trait"].name, proposal["value"]
        try:
            rules_of(**{"keep": {}, name: value})
        except (NbSnapError, TypeError) as error:
            raise TraitError(f"NbSnap.{name}: {error}") from None
        return value

    @validate("secret_values")
    def _valid_patterns(self, proposal: Any) -> Any:
        from nbsnap.sieve import Sieve

        try:
            Sieve(values=tuple(proposal["value"]))
        except NbSnapError as error:
            raise TraitError(f"NbSnap.secret_values: {error}") from None
        return proposal["value"]

    @property
    def ip(self) -> Any:
        """The shell."""
        return self.shell

    def where(self) -> dict[str, Any]:
        """Return the store and the notebook that are set; None where `host` knows."""
        return {"store": self._place(), "notebook": self.notebook or None}

    def at(self) -> tuple[str, str]:
        """Return where the snapshots are, and which notebook's."""
        return self._place() or host.default_store(reading=True)[0], self.notebook or host.default_notebook()

    def _place(self) -> str | None:
        if os.environ.get("NBSNAP_STORE") or not self.store:
            return None
        return host.at(self.store)

    def parts(self, args: Any, *, partly: bool) -> Sequence[str]:
        """Return what is meant beside the variables: what is asked for, else the setting, for a session as a whole."""
        return split(args.beside) or ([] if partly else self.beside)

    def saving_options(self) -> dict[str, Any]:
        """Return what the settings say about every snapshot."""
        return {
            "ignore": self.exclude,
            **self.where(),
            "engine": self.engine,
            "beside": self.beside,
            "previews": self.previews,
            **self.secrecy(),
        }

    def secrecy(self) -> dict[str, Any]:
        """Return what the settings say about secrets."""
        from nbsnap.sieve import Sieve

        sieve = Sieve(tuple(self.secret_names), tuple(self.secret_values), tuple(self.not_secret))
        return {"include_secrets": self.include_secrets, "secrets": sieve}

    def automatic_options(self) -> dict[str, Any]:
        """Return what the settings say about snapshots that nobody asks for."""
        from nbsnap.keep import AUTOMATIC, rules_of

        return {**self.saving_options(), "keep": rules_of(self.keep, self.max_size) or AUTOMATIC}
