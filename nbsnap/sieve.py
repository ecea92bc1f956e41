"""What looks like a secret: by the name that it goes by and the shape of its text, or by the text alone.

One sieve for everything: variables, items of dicts and attributes (`withheld`), the text of cells (`masking`), previews
and what else stands in a manifest. It knows texts only; nothing is imported for it.

**By the text alone** (`KINDS`): keys that their makers gave a prefix of their own, private keys, JSON web tokens, URLs
with a password, headers of HTTP. These are told wherever they stand in a text.

**By name and text together.** What a name says is told by `called`, in two degrees:

- *strong* names (password, api_key, client_secret, …) make a secret of every text, but for one that is only a stand-in
  (`""`, `"changeme"`, `"${TOKEN}"`, `"<your key>"`, `"****"`);
- *weak* names (token, secret, auth, `openai_key`, …) mean other things as well, so the text has to look drawn by lot:
  no spaces, eight characters or more, letters and digits mixed, and no path or URL.

Only texts are judged so, `str` and `bytes`: a number, a list of words or a model is no secret for its name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from .called import degree, degree_of_path, meant_in
from .digest import quick
from .errors import NbSnapError
from .model import MASK

__all__ = ["DEFAULT", "HOLDS_KNOWN", "KINDS", "KNOWN", "LONGEST", "NAMED", "UNSEARCHED", "Found", "Sieve"]

#: The kind of what is told by its name.
NAMED = "named-secret"
#: The kind of what could not be looked at, and is left out for that.
UNSEARCHED = "not-searched"
LONGEST = 65_536  # characters of a text that is looked through


class Kind(NamedTuple):
    """One kind of secret that is known by its text."""

    name: str  # for programs: "github-token"
    words: str  # for people: "a GitHub token"
    pattern: str  # where it has a group, the group is the secret, and the rest may be shown
    signs: tuple[str, ...]  # one of these stands in each such text


_GITLAB = ("pat", "ptt", "oas", "rt", "cbt", "dt", "ft", "soat", "imt", "agent")

#: All that is known by its text.
KINDS: tuple[Kind, ...] = (
    Kind("private-key", "a private key",
         r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
         r"(?:-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----|\Z)",
         ("PRIVATE KEY",)),
    Kind("private-key", "a private key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}", ("AGE-SECRET-KEY-1",)),
    Kind("anthropic-key", "an Anthropic key", r"\bsk-ant-[\w-]{20,}", ("sk-ant-",)),
    Kind("openai-key", "an OpenAI key", r"\bsk-(?:(?:proj|svcacct|admin|None)-[\w-]{20,}|[A-Za-z0-9]{32,})", ("sk-",)),
    Kind("api-key", "an API key", r"\bsk-or-v1-[0-9a-f]{32,}", ("sk-or-v1-",)),
    Kind("github-token", "a GitHub token", r"\bgh[pousr]_[0-9A-Za-z]{36,}|\bgithub_pat_\w{36,}",
         ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_")),
    Kind("gitlab-token", "a GitLab token", rf"\bgl(?:{'|'.join(_GITLAB)})-[\w-]{{20,}}",
         tuple(f"gl{name}-" for name in _GITLAB)),
    Kind("aws-key", "an AWS key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", ("AKIA", "ASIA", "ABIA", "ACCA")),
    Kind("google-key", "a Google key", r"\bAIza[\w-]{35}|\bGOCSPX-[\w-]{28}|\bya29\.[\w-]{20,}",
         ("AIza", "GOCSPX-", "ya29.")),
    Kind("azure-key", "an Azure key", r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,}={0,2})",
         ("AccountKey=", "SharedAccessKey=")),
    Kind("slack-token", "a Slack token", r"\bxox[abeoprs]-[\w-]{10,}|\bxapp-\d-[\w-]{10,}", ("xox", "xapp-")),
    Kind("slack-webhook", "a Slack webhook", r"hooks\.slack\.com/services/([\w/+-]{20,})", ("hooks.slack.com",)),
    Kind("stripe-key", "a Stripe key", r"\b[sr]k_(?:live|test|prod)_[0-9A-Za-z]{10,}|\bwhsec_[0-9A-Za-z+/]{24,}",
         ("k_live_", "k_test_", "k_prod_", "whsec_")),
    Kind("huggingface-token", "a Hugging Face token", r"\b(?:hf|api_org)_[A-Za-z]{34,}", ("hf_", "api_org_")),
    Kind("pypi-token", "a PyPI token", r"\bpypi-AgE[\w-]{50,}", ("pypi-AgE",)),
    Kind("npm-token", "an npm token", r"\bnpm_[A-Za-z0-9]{36}", ("npm_",)),
    Kind("api-key", "a SendGrid key", r"\bSG\.[\w-]{20,24}\.[\w-]{39,50}", ("SG.",)),
    Kind("api-key", "a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}", ("_v1_",)),
    Kind("api-key", "a Databricks token", r"\bdapi[a-f0-9]{32}(?:-\d)?\b", ("dapi",)),
    Kind("api-key", "an API key", r"\b(?:gsk|xai|pplx|tvly|r8|lin_api|ntn|nvapi|fw|csk)[_-][A-Za-z0-9_-]{32,}",
         ("gsk_", "xai-", "pplx-", "tvly-", "r8_", "lin_api_", "ntn_", "nvapi-", "fw_", "csk-")),
    Kind("vault-token", "a Vault token", r"\bhv[sbr]\.[\w-]{24,}", ("hvs.", "hvb.", "hvr.")),
    Kind("json-web-token", "a JSON web token", r"\beyJ[\w-]{8,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?", (".eyJ",)),
    Kind("url-password", "a URL with a password",
         r"\b[A-Za-z][\w+.-]{1,30}://[^\s/:@'\"`<>{}]{0,200}:([^\s/@'\"`<>{}$]{2,200})@(?=[^\s@])", ("://",)),
    Kind("authorization-header", "an Authorization header",
         r"\b(?:Bearer|Basic|bearer|basic)\s+([A-Za-z0-9._~+/-]{16,}=*)", ("earer ", "asic ")),
)  # fmt: skip

#: Those that stand in a word shorter than `_WORD_LENGTH`, or in more than one; all others are in one long word.
_WITH_SPACES = ("PRIVATE KEY", "://", "earer ", "asic ")
_WORD_LENGTH = 15

#: Documented by their makers as examples: nobody's secrets.
_EXAMPLES = frozenset({"AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"})


# ---- texts -----------------------------------------------------------------------------------------------------------

_STAND_IN = re.compile(
    r"""(?ix) \s* (?:
        | (?:none|null|nil|true|false|todo|changeme|change[_ -]me|example|redacted|hidden|masked|withheld|secret
            |password|passwd|pwd|token|api[_ -]?key|key|foo|bar|abc|dummy|placeholder|unset|undefined|env|test|ask|no
            |yes|required|optional|basic|bearer|oauth2?|str|string|text|utf-?8)
        | (?:your|my|insert|enter|put|replace|add|the|some)[\s_.<-].*
        | [<\[{(].*[>\]})] | \$\{?\w+\}?.* | %\(?\w+\)?s? | \{\{.*\}\}
        | (.)\1* | [.*x•…_-]+
    ) [\s:.!?…]*""",
)
_PATH = re.compile(r"~?[./\\]|[A-Za-z]:[\\/]|[a-z][\w+.-]*://|[\w.-]+\.(?:txt|json|ya?ml|toml|pem|csv|py|env|key|ini)$")
_DRAWN = re.compile(r"[\x21-\x7e]{8,4096}")


def _is_stand_in(text: str) -> bool:
    return len(text) < 3 or MASK in text or (len(text) <= _LONGEST_STAND_IN and _STAND_IN.fullmatch(text) is not None)


_LONGEST_STAND_IN = 256  # characters; the pattern takes the square of their number


def _is_drawn(text: str) -> bool:
    """Tell whether a text looks drawn by lot, not written."""
    if _DRAWN.fullmatch(text) is None or _PATH.match(text):
        return False
    digits = sum(map(str.isdigit, text))
    letters = sum(map(str.isalpha, text))
    if not digits or not letters or len(set(text)) < min(6, len(text) // 2):
        return len(text) >= 24 and letters > 20 and text.isalnum() and not (text.islower() or text.isupper())
    return True


class Found(NamedTuple):
    """A secret, and what kind of one."""

    kind: str
    words: str
    text: str  # the secret itself: handed to nobody

    @property
    def reason(self) -> str:
        """The line about it."""
        if self.kind == UNSEARCHED:
            return f"could not be looked through for secrets ({self.words}); --include-secrets saves it"
        return f"looks like a secret ({self.words}); --include-secrets saves it"


BY_NAME = "by its name"
#: What holds the value of another secret: to be told apart, or not.
KNOWN = Found("known-secret", "the value of another one", "")
HOLDS_KNOWN = Found("known-secret", "holds the value of another one", "")


@dataclass(frozen=True)
class Sieve:
    """The sieve with its settings.

    Args:
        names: names and globs of variables, keys and attributes that are secrets, whatever text they hold.
        values: regular expressions of texts that are; with a group, the group is.
        allowed: names and globs of what is none, whatever it is called and holds; and kinds that are not looked for
            ("json-web-token").
    """

    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse patterns that are none."""
        for value in self.values:
            try:
                re.compile(value)
            except re.error as error:
                raise NbSnapError(f"{value!r} is no regular expression: {error}") from None

    def allows(self, name: str) -> bool:
        """Tell whether what goes by a name is none."""
        return bool(self.allowed) and any(fnmatchcase(name, pattern) for pattern in self.allowed)

    def is_named(self, name: str) -> bool:
        """Tell whether the settings say that what goes by a name is one."""
        return bool(self.names) and any(fnmatchcase(name, pattern) for pattern in self.names)

    def meant(self, names: Iterable[str]) -> Set[str]:
        """Return those of many names that are of secrets, whatever they hold."""
        found = meant_in("\n".join(names))
        return found.union(name for name in names if self.is_named(name)) if self.names else found

    def by_name(self, name: str, text: str) -> Found | None:
        """Judge a text by the name that it goes by."""
        if self.allows(name) or len(text) > LONGEST:
            return None
        if self.is_named(name):
            return Found(NAMED, BY_NAME, text) if text else None
        if NAMED in self.allowed or not (how := degree(name)) or _is_stand_in(text):
            return None
        if text.lower() == name.lower():
            return None
        if how == "strong":
            if degree_of_path(name) and _PATH.match(text):
                return None
        elif not _is_drawn(text):
            return None
        return Found(NAMED, BY_NAME, text)

    def by_shape(self, text: str) -> Found | None:
        """Judge a text that stands in a list or a dict whose name is a secret's."""
        return Found(NAMED, BY_NAME, text) if NAMED not in self.allowed and _is_drawn(text) else None

    def may_hold(self, text: str) -> bool:
        """Tell whether there may be a secret in a text; quick, and right when it says no."""
        return _may_hold(text, self.values, self.allowed)

    def one_may(self, texts: Sequence[str]) -> bool:
        """Tell whether one of many texts may hold a secret: the same, in far less time.

        They are asked for as one, but for the patterns of the settings: these may speak of a text's beginning and end.
        """
        own = _compiled(self.values, self.allowed)[1]
        if any(pattern.search(text) for pattern in own for text in texts):
            return True
        chunks = ["\n".join(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)]
        return any(_may_hold(chunk, (), self.allowed) for chunk in chunks)

    def in_text(self, text: str) -> Found | None:
        """Return the first secret that a text holds."""
        if len(text) > LONGEST or not self.may_hold(text):
            return None
        return next((found for found, _ in self._all(text)), None)

    def mask(self, text: str, known: Iterable[str] = ()) -> str:
        """Return a text with the secrets in it masked: those known by their kind, and the `known` ones."""
        spots = [span for _, span in self._all(text)] if self.may_hold(text) else []
        for one in known:
            if one in text:
                spots += _places(one, text)
        for start, end in reversed(_apart(sorted(spots))):
            text = text[:start] + MASK + _lines(text[start:end]) + text[end:]
        return text

    def _all(self, text: str) -> list[tuple[Found, tuple[int, int]]]:
        found = []
        for kind, words, pattern, signs in _compiled(self.values, self.allowed)[2]:
            if signs and not any(sign in text for sign in signs):
                continue
            for match in pattern.finditer(text):
                group = 1 if pattern.groups and match[1] is not None else 0
                if match[group] not in _EXAMPLES and not _is_stand_in(match[group]):
                    found.append((Found(kind, words, match[group]), match.span(group)))
        return found


def _places(one: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where a text stands in another, also where it overlaps itself."""
    at = text.find(one)
    while at >= 0:
        yield at, at + len(one)
        at = text.find(one, at + 1)


def _lines(text: str) -> str:
    """Return the breaks of what is masked: the lines behind it keep their numbers."""
    return "\n" * text.count("\n")


def _apart(spots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in spots:
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


_Patterns = list[tuple[str, str, re.Pattern[str], tuple[str, ...]]]


@functools.lru_cache(maxsize=16)
def _compiled(
    values: tuple[str, ...], allowed: tuple[str, ...]
) -> tuple[re.Pattern[str], list[re.Pattern[str]], _Patterns]:
    """Return the signs, the patterns of the settings, and all patterns with their kinds."""
    own = [re.compile(value) for value in values]
    kinds = [kind for kind in KINDS if kind.name not in allowed]
    signs = sorted({sign for kind in kinds for sign in kind.signs})
    patterns: _Patterns = [("custom-secret", "by a pattern of the settings", pattern, ()) for pattern in own]
    patterns += [(kind.name, kind.words, re.compile(kind.pattern), kind.signs) for kind in kinds]
    return re.compile("|".join(map(re.escape, signs)) or r"(?!)"), own, patterns


DEFAULT = Sieve()
_CHUNK = 512  # texts that are looked at as one


# ---- many at once: most are those of the snapshot before -------------------------------------------------------------


def _may_hold(text: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    key = quick(text.encode("utf-8", "surrogatepass")), values, allowed  # not the text, which would live on
    known = _answers.get(key)
    if known is None:
        if len(_answers) >= _MOST_ANSWERS:
            _answers.clear()
        known = _answers[key] = _look_for_signs(text, values, allowed)
    return known


_answers: dict[tuple[bytes, tuple[str, ...], tuple[str, ...]], bool] = {}
_MOST_ANSWERS = 4096


def _look_for_signs(text: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    signs, own, _ = _compiled(values, allowed)
    if any(sign in text for sign in _WITH_SPACES) or any(pattern.search(text) for pattern in own):
        return True
    words = text.split()
    if max(map(len, words), default=0) < _WORD_LENGTH:
        return False
    return signs.search("\n".join([word for word in words if len(word) >= _WORD_LENGTH])) is not None
