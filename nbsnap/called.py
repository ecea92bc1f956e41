"""What a name says of what goes by it: whether that is a secret.

A name is taken as its words: `OPENAI_API_KEY`, `apiKey` and `api-key` end in the words "api key". What counts are the
last words, so a `token_count`, a `password_hasher`, a `secret_santa` and a `tokenizer` are none; words like `old`,
`prod` or a number may follow. Names are *strong* or *weak*; what that means for a text is said in `sieve`.
"""

from __future__ import annotations

import functools
import re

__all__ = [
    "SHOWN_NAMES",
    "degree",
    "degree_of_path",
    "holds_secrets",
    "may_name",
    "meant_in",
    "names_secret",
    "words_of",
]

_STRONG = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "pwd",
        "passwort",
        "apikey",
        "apitoken",
        "authtoken",
        "accesstoken",
        "refreshtoken",
        "accesskey",
        "secretkey",
        "privatekey",
        "clientsecret",
        "api_key",
        "api_token",
        "api_secret",
        "secret_key",
        "secret_access_key",
        "access_key",
        "private_key",
        "access_token",
        "refresh_token",
        "auth_token",
        "bearer_token",
        "session_token",
        "id_token",
        "oauth_token",
        "bot_token",
        "sas_token",
        "personal_access_token",
        "client_secret",
        "app_secret",
        "app_key",
        "consumer_secret",
        "consumer_key",
        "shared_secret",
        "webhook_secret",
        "signing_key",
        "encryption_key",
        "master_key",
        "account_key",
        "storage_key",
        "subscription_key",
        "service_key",
        "connection_string",
        "auth_key",
        "jwt_secret",
        "token_secret",
        "oauth_secret",
        "hf_token",
        "gh_token",
        "github_token",
        "gitlab_token",
        "slack_token",
        "huggingface_token",
        "openai_token",
        "authorization",
        "set_cookie",
        "db_pass",
        "user_pass",
        "smtp_pass",
        "mysql_pwd",
        "license_key",
    ]
)
#: Tokens that tell which thing or which page is meant, and open nothing; Dask gives one to each of its objects.
_TELLING = frozenset(
    f"{word}_token"
    for word in ("determ", "deterministic", "dask", "page", "next", "continuation", "cursor", "sync", "cancel", "eos",
                 "bos", "pad", "unk", "sep", "cls", "mask")
)  # fmt: skip
_WEAK = frozenset(
    [
        "token",
        "secret",
        "auth",
        "jwt",
        "cookie",
        "credential",
        "pass",
        "otp",
        "session_key",
        "key_secret",
        "aws_key",
        "azure_key",
        "gcp_key",
        "google_key",
        "openai_key",
        "anthropic_key",
        "github_key",
        "hf_key",
        "stripe_key",
        "slack_key",
        "twilio_key",
        "sendgrid_key",
        "mapbox_key",
        "tavily_key",
        "pinecone_key",
        "cohere_key",
        "groq_key",
        "mistral_key",
        "kaggle_key",
        "wandb_key",
        "comet_key",
        "deepl_key",
        "serp_key",
        "ssh_key",
        "gpg_key",
        "fernet_key",
        "secret_id",
        "webhook_url",
    ]
)
#: May follow the words that count.
_AFTER = frozenset(
    [
        "value",
        "text",
        "str",
        "string",
        "raw",
        "plain",
        "old",
        "new",
        "prod",
        "production",
        "dev",
        "test",
        "staging",
        "default",
        "main",
        "env",
        "b64",
        "hex",
        "bytes",
    ]
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
#: One of these stands in every name that means something here: asked first, of many names at once.
_HINTS = ("pass", "pwd", "secret", "token", "key", "auth", "cred", "cookie", "jwt", "otp", "connection", "webhook")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name, in small letters: `OPENAI_API_KEY2` is openai, api, key, 2."""
    return tuple(word.lower() for word in _WORD.findall(name))


@functools.lru_cache(maxsize=16_384)
def degree(name: str) -> str:
    """Return what a name says: "strong", "weak", or "" for nothing. A plural says the same."""
    if len(name) > 120:
        return ""
    words = list(words_of(name))
    while words:
        found = _meaning(words)
        if found or not (words[-1] in _AFTER or words[-1].isdigit()):
            return found
        words.pop()
    return ""


def _meaning(words: list[str]) -> str:
    """Return what the last of some words say."""
    last = words[-1]
    if last.endswith("s") and last[:-1] in _PLURALS:
        words = [*words[:-1], last[:-1]]
    if "_".join(words[-2:]) in _TELLING:
        return ""
    for table, found in ((_STRONG, "strong"), (_WEAK, "weak")):
        if any("_".join(words[-number:]) in table for number in (1, 2, 3) if number <= len(words)):
            return found
    return ""


def holds_secrets(name: str) -> bool:
    """Tell whether texts that look drawn by lot are secrets for standing in what goes by a name.

    Tokens are words as a rule, where there are several.
    """
    return degree(name) == "strong" or words_of(name)[-1:] in _HOLDERS


_HOLDERS = (("secret",), ("secrets",), ("credential",), ("credentials",), ("auth",))
_PLURALS = {word for name in _STRONG | _WEAK for word in name.split("_")}


def may_name(text: str) -> bool:
    """Tell whether a text has a name in it that may say anything."""
    text = text.lower()
    return any(hint in text for hint in _HINTS)


#: Nothing is shown of what goes by such names, whatever it is: a column of tokens may be one of words.
SHOWN_NAMES = re.compile(
    r"passw(?:or)?d|passphrase|passcode|pwd|secret|token|api[_-]?key|access[_-]?key|credential|private[_-]?key|cookie"
    r"|auth(?!ors?(?![a-z]))",
    re.IGNORECASE,
)


def names_secret(name: str) -> bool:
    """Tell whether nothing should be shown of what goes by a name."""
    return SHOWN_NAMES.search(name) is not None or degree(name) == "strong"


def degree_of_path(name: str) -> bool:
    """Tell whether a strong name is one of files and folders, too: `pwd`, `private_key`."""
    return words_of(name)[-1:] in (("pwd",), ("key",))


@functools.lru_cache(maxsize=256)
def meant_in(names: str) -> frozenset[str]:
    """Return which of the names in these lines mean something."""
    small = names.lower()
    if len(small) != len(names):  # there are letters of which the small ones are two
        return frozenset(filter(degree, names.split("\n")))
    found = set()
    for hint in _HINTS:
        at = small.find(hint)
        while at >= 0:
            end = names.find("\n", at)
            end = len(names) if end < 0 else end
            name = names[names.rfind("\n", 0, at) + 1 : end]
            if degree(name):
                found.add(name)
            at = small.find(hint, end)
    return frozenset(found)
