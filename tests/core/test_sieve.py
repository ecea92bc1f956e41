"""What is taken for a secret and what is not, by its name and its text; and that no mask lets one through."""

from __future__ import annotations

import functools
import gc
import string
import sys
import threading
import time
import tracemalloc
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbsnap.called import degree, words_of
from nbsnap.errors import NbSnapError
from nbsnap.masking import is_masked, mask_code
from nbsnap.model import MASK
from nbsnap.sieve import DEFAULT, Sieve
from nbsnap.withheld import search

LETTERS = string.ascii_letters + string.digits
MIXED = "a1B2c3D4" * 20
TOKEN = "ghp" + f"_{MIXED[:36]}"

#: Kind -> texts that are of that kind, made up here. In two parts, so that no scanner takes this file for a leak.
TEXTS = {
    "github-token": ["ghp" + f"_{MIXED[:36]}", "gho" + f"_{MIXED[:36]}", "github" + f"_pat_{MIXED[:82]}"],
    "gitlab-token": ["glpat" + f"-{MIXED[:20]}"],
    "aws-key": ["AKIA" + "QWERTYUI23456ASD"],
    "google-key": ["AIza" + MIXED[:35], "GOCSPX" + f"-{MIXED[:28]}"],
    "azure-key": ["AccountName=x;AccountKey=" + f"{MIXED[:86]}=="],
    "slack-token": ["xoxb" + "-123456789012-abcdefABCDEF"],
    "slack-webhook": ["https://hooks.slack" + ".com/services/T000/B000/abcdefghijkl1234"],
    "stripe-key": ["sk_live" + f"_{MIXED[:24]}", "rk_test" + f"_{MIXED[:24]}"],
    "huggingface-token": ["hf" + "_" + "AbCdEfGhIj" * 4],
    "openai-key": ["sk" + f"-{MIXED[:48]}", "sk-proj" + f"-{MIXED[:60]}"],
    "anthropic-key": ["sk-ant" + f"-api03-{MIXED[:90]}"],
    "pypi-token": ["pypi-AgE" + MIXED[:80]],
    "npm-token": ["npm" + f"_{MIXED[:36]}"],
    "vault-token": ["hvs" + f".{MIXED[:30]}"],
    "json-web-token": ["eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.abcDEF123_-xyz"],
    "private-key": ["-----BEGIN RSA " + "PRIVATE KEY-----\nMIIabc\nxyz=\n-----END RSA PRIVATE KEY-----\n"],
    "url-password": ["postgresql+psycopg2://me:pw1" + "@db.example.org:5432/x", "https://:t0ken@" + "host/path"],
    "authorization-header": ["Authorization: " + "Bearer abcdef0123456789abcdef"],
    "api-key": ["gsk" + f"_{MIXED[:50]}", "dapi" + "0123456789abcdef" * 2],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts])
def test_known_by_its_text(kind: str, text: str) -> None:
    """Each of these is told by its text, in a longer one, too, and masked there; whatever it is called."""
    found = DEFAULT.in_text(text)
    assert found is not None
    assert found.kind == kind
    longer = f"see {text} (mine)"
    assert DEFAULT.in_text(longer) is not None
    masked = DEFAULT.mask(longer)
    assert found.text not in masked
    assert MASK in masked
    assert longer.count("\n") == masked.count("\n")
    assert list(search({"x": text, "y": "nothing"}, DEFAULT).whole) == ["x"]
    assert not search({"x": text}, Sieve(allowed=("x",))).whole
    assert not search({"x": text}, Sieve(allowed=(kind,))).whole


HARMLESS = """
    hello world|https://example.org/path?a=b|user@example.org|git@github.com:me/repo.git|http://localhost:8888/tree
    AKIAIOSFODNN7EXAMPLE|sk-learn|hf_hub|3f9c21a|9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    550e8400-e29b-41d4-a716-446655440000|bert-base-uncased|ghp_short|xox|eyJ|-----BEGIN PUBLIC KEY-----|Basic English
    postgres://{user}:{password}@{host}/db|https://user:<password>@host|https://host:8080/@me|Bearer {token}
    mailto:a@b.c|key=value|2024-01-01T00:00:00|/home/me/.ssh/id_rsa|s3://bucket/key@2x.png|redis://localhost:6379/0
"""


@pytest.mark.parametrize("text", [text.strip() for line in HARMLESS.split("\n") for text in line.split("|") if text])
def test_texts_that_are_none(text: str) -> None:
    """What looks a little like one is none."""
    assert DEFAULT.in_text(text) is None
    assert DEFAULT.mask(text) == text


STRONG = """
    password PASSWORD db_password dbPassword passwd user_passwd passphrase api_key API_KEY apiKey apikey OPENAI_API_KEY
    x-api-key X-Api-Key openai_api_key2 client_secret access_token refresh_token aws_secret_access_key private_key
    HF_TOKEN github_token secret_key SECRET_KEY auth_token Authorization Set-Cookie password_value password_old
    DJANGO_SECRET_KEY connection_string passwords api_keys bearer_token jwt_secret password_2
"""
WEAK = "token tokens secret secrets my_token TOKEN openai_key auth cookie jwt credentials ssh_key smtp_auth"
NONE = """
    token_count n_tokens_seen tokenizer tokenize token_ids token_type keyword keywords key keys primary_key
    password_hasher password_hash_algorithm password_field secret_santa author authors authority monkey passenger
    compass bypass public_key cache_key sort_key api_key_name access_token_url secretary tokenization keyboard
    max_tokens_used password_length show_password_hint forgot_password_url oauth_url passed pass_rate compassion
    secret_name
"""


@pytest.mark.parametrize(
    ("name", "meaning"),
    [(n, "strong") for n in STRONG.split()] + [(n, "weak") for n in WEAK.split()] + [(n, "") for n in NONE.split()],
)
def test_names(name: str, meaning: str) -> None:
    """The last words of a name count."""
    assert degree(name) == meaning
    assert (name in DEFAULT.meant(["x", name, "other"])) == bool(meaning)


def test_words() -> None:
    """Names come apart at underscores, other signs, digits and capitals."""
    assert words_of("OPENAI_API_KEY2") == ("openai", "api", "key", "2")
    assert words_of("dbPassword") == ("db", "password")
    assert words_of("X-Api-Key") == ("x", "api", "key")


@pytest.mark.parametrize(
    "value", ["hunter2", "correct horse battery staple", "pandas", b"hunter2", bytearray(b"hunter2")]
)
def test_a_strong_name_makes_a_secret_of_every_text(value: object) -> None:
    """A password need not look like one."""
    assert list(search({"db_password": value}, DEFAULT).whole) == ["db_password"]


@pytest.mark.parametrize(
    "value",
    ["", "  ", "***", "•••", "xxxxxxxx", "<your password>", "your-api-key-here", "${PASSWORD}", "$PASSWORD", "...",
     "{password}", "{{ password }}", "%(password)s", "changeme", "None", "TODO", "password", 7, 1234, None, ["a", "b"]],
)  # fmt: skip
def test_stand_ins_are_none(value: object) -> None:
    """What only stands where a secret would stand, and what is no text, is none."""
    found = search({"password": value, "api_key": value}, DEFAULT)
    assert not found.whole
    assert not found.parts


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("token", "the", False),
        ("token", "hello world, this is a sentence with 3 words", False),
        ("token", "/run/secrets/token1", False),
        ("token", "https://example.org/oauth2/token", False),
        ("token", "9f86d081884c7d65", True),
        ("token", "AbCdEfGhIjKlMnOpQrStUvWxYz", True),
        ("secret", "apple", False),
        ("secret", "s3cr3tvalue!", True),
        ("tokens", ["the", "cat", "B2B2B2B2B2B2"], False),
        ("tokens", list("abc"), False),
        ("tokenizer", "9f86d081884c7d65", False),
        ("_determ_token", "9f86d081884c7d65", False),
        ("next_page_token", "9f86d081884c7d65", False),
        ("token_count", "9f86d081884c7d65", False),
        ("key", "9f86d081884c7d65", False),
        ("pwd", "/home/me", False),
        ("pwd", "hunter2", True),
        ("private_key", "~/.ssh/id_rsa", False),
    ],
)
def test_name_and_shape(name: str, value: object, is_secret: bool) -> None:
    """A weak name needs a text that looks drawn by lot; a list of tokens is one of words."""
    found = search({name: value}, DEFAULT)
    assert bool(found.whole) == is_secret
    assert not found.parts


def test_settings() -> None:
    """Names and patterns can be added, and taken out; what is no pattern is refused."""
    mine = Sieve(names=("badge_*",), values=(r"BADGE-\d{6}",), allowed=("password_of_the_day", "github-token"))
    assert list(search({"badge_7": "blue", "badge": "blue", "x": "my BADGE-123456"}, mine).whole) == ["badge_7", "x"]
    assert mine.mask("BADGE-123456, " + TEXTS["github-token"][0]) == f"{MASK}, " + TEXTS["github-token"][0]
    assert not search({"password_of_the_day": "joshua"}, mine).whole
    assert mask_code("badge_7 = 'blue'", mine) == f'badge_7 = "{MASK}"'
    with pytest.raises(NbSnapError, match="no regular expression"):
        Sieve(values=("(",))


def test_inside_of_things() -> None:
    """Items, attributes, defaults and closures are looked at, some steps down; long lists and tables are data."""
    found = search({"config": {"db": {"password": "hunter2", "user": "me"}}, "other": [1, 2]}, DEFAULT)
    assert [(one.kind, one.text) for one in found.parts.values()] == [("named-secret", "hunter2")]
    assert found.watched == {"config"}
    shared = {"api_key": "sk-1234"}
    assert search({"a": shared, "b": shared}, DEFAULT).watched == {"a", "b"}
    assert search({"env": {b"API_KEY": b"abcdef"}}, DEFAULT).parts
    assert search({"auth": ("me", "hunter2")}, DEFAULT).parts
    assert search({"credentials": {"github": "9f86d081884c7d65"}}, DEFAULT).parts
    assert search({"f": lambda token=TEXTS["github-token"][0]: token}, DEFAULT).parts
    users = [{"name": "x", "password": f"pw{n}"} for n in range(50)]
    table = search({"users": users}, DEFAULT)
    assert not table.parts
    assert not table.watched
    assert not search({"rows": [TEXTS["github-token"][0]] * 101}, DEFAULT).parts


def test_containers_that_say_something_else_of_themselves() -> None:
    """A list with a length of its own, a function with more defaults than arguments, one that is none of its own."""
    token = TEXTS["github-token"][0]

    class Long(list[Any]):
        def __len__(self) -> int:
            return 50

    def bare() -> None: ...

    bare.__defaults__ = (1, token)
    look = search({"long": Long([token, 1]), "bare": bare}, DEFAULT)
    assert look.watched == {"long", "bare"}


def test_what_another_thread_changes_is_looked_at_all_the_same() -> None:
    """Dicts, lists and sets that grow and shrink all the time are no reason not to find what is in them."""
    token = TEXTS["github-token"][0]
    values: dict[str, Any] = {"d": {"a": token}, "l": [token], "s": {token}, "o": Holder(token)}
    end = threading.Event()

    def change() -> None:
        while not end.is_set():
            for number in range(50):
                values["d"][number] = values["o"].__dict__[f"x{number}"] = number
                values["l"].append(number)
                values["s"].add(number)
            for number in range(50):
                del values["d"][number], values["o"].__dict__[f"x{number}"], values["l"][-1]
                values["s"].discard(number)

    thread = threading.Thread(target=change)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        for _ in range(300):
            assert search(values, DEFAULT).watched == set(values)
    finally:
        end.set()
        thread.join()
        sys.setswitchinterval(before)


def with_attributes(**given: object) -> Callable[[], None]:
    def function() -> None: ...

    for name, value in given.items():
        setattr(function, name, value)
    return function


def login() -> str:
    password = "hunter2-abc"
    return password


def class_of(**names: object) -> type:
    return type("Made", (), {"__module__": "__main__", **names})


@pytest.mark.parametrize(
    "value",
    [
        with_attributes(api_key="hunter2-abc"),
        with_attributes(__doc__=TEXTS["github-token"][0]),
        with_attributes(__defaults__=(TEXTS["github-token"][0],)),
        class_of(__doc__=TEXTS["github-token"][0]),
        class_of(connect=staticmethod(with_attributes(__defaults__=(TEXTS["github-token"][0],)))),
        class_of(connect=classmethod(with_attributes(__kwdefaults__={"password": "hunter2-abc"}))),
        class_of(__init__=with_attributes(__kwdefaults__={"password": "hunter2-abc"})),
        class_of(secret=property(with_attributes(__kwdefaults__={"password": "hunter2-abc"}))),
        class_of(open=functools.partial(print, password="hunter2-abc")),
        functools.partial(print, password="hunter2-abc"),
        types.MethodType(with_attributes(__kwdefaults__={"password": "hunter2-abc"}), 1),
        login.__code__,
        {"code": [login.__code__]},
    ],
)
def test_places_in_functions_and_classes(value: object) -> None:
    """Attributes, defaults and texts of functions, also of those with something around them, and code by itself."""
    assert search({"x": value, "y": 1}, DEFAULT).watched == {"x"}


class Holder:
    def __init__(self, held: object) -> None:
        self.held = held


def fails(*_: object) -> Any:
    raise RuntimeError("outside of context")


class Blocked(Holder):
    """Refuses to be asked for its attributes."""

    __dict__ = property(fails)  # type: ignore[assignment]


class Secretive:
    """The same, with no other class to tell them."""

    __dict__ = property(fails)  # type: ignore[assignment]

    def __init__(self) -> None:
        self.password = "hunter2-abc"


class Words(str):
    __slots__ = ()
    __len__ = __str__ = __contains__ = __getitem__ = fails


class Raw(bytes):
    __slots__ = ()
    __len__ = __contains__ = __getitem__ = fails


class Unequal(type):
    """Classes of it cannot stand in a table."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return fails()


class Odd(metaclass=Unequal):
    pass


def test_nothing_of_the_users_is_run_in_the_look() -> None:
    """Classes with a `__dict__`, a `__len__` or a `__str__` of their own are read past these."""
    found = search({"app": Blocked(1), "secretive": Secretive(), "cfg": {"password": "hunter2-abc", "n": 1}}, DEFAULT)
    assert found.watched == {"secretive", "cfg"}
    assert not found.whole
    token = TEXTS["github-token"][0]
    long = "a line of a log\n" * 5000 + token
    found = search(
        {"a": Words("hello, all"), "b": [Words(token)], "password": Words("hunter2-abc"), "c": Words(token)}
        | {"d": Raw(token.encode()), "e": {"api_key": Raw(b"hunter2-abc")}, "f": bytearray(token.encode())}
        | {"long": Words(long), "raw": Raw(long.encode()), "short": Raw(b"hello, all")},
        DEFAULT,
    )
    assert set(found.whole) == {"password", "c", "d", "f", "long", "raw"}
    assert found.watched == {"b", "e"}


def test_what_cannot_be_looked_through_costs_itself_alone() -> None:
    """It is left out with a line, for a secret may be in it; all others are looked at as ever."""
    found = search({"odd": Odd(), "cfg": {"password": "hunter2-abc"}, "x": 1}, DEFAULT)
    assert [(name, one.reason) for name, one in found.whole.items()] == [
        ("odd", "could not be looked through for secrets (TypeError); --include-secrets saves it")
    ]
    assert found.watched == {"cfg"}


def test_many_passwords_in_one_variable_are_data_and_touch_no_other() -> None:
    """Texts of a table are no known secrets, whatever is in another table; what another variable holds stays one."""
    users, others = (
        [{"name": "x", "password": f"{word}pass{n:02}word"} for n in range(50)] for word in ("long", "lang")
    )
    table = search({"users": users, "others": others, "n": 1}, DEFAULT)
    assert (table.parts, table.watched, table.known) == ({}, set(), ())
    shared = users[3]["password"]
    table = search({"users": users, "cfg": {"password": shared}, "others": others}, DEFAULT)
    assert (set(table.parts), table.watched, table.known) == ({id(shared)}, {"cfg"}, (shared,))


def test_a_plain_word_that_is_the_users_name_too_is_no_secret() -> None:
    """Both are one object as a rule, and the name is wanted; not where it is drawn by lot, or the settings say so."""
    word, drawn = "postgres", "hunter2-abc"
    assert not search({"cfg": {"user": word, "password": word}}, DEFAULT).watched
    assert search({"cfg": {"user": "me", "password": word}}, DEFAULT).watched == {"cfg"}
    assert search({"cfg": {"user": drawn, "password": drawn}}, DEFAULT).watched == {"cfg"}
    assert search({"cfg": {"user": word, "password": word}}, Sieve(names=("password",))).watched == {"cfg"}


def test_a_look_keeps_nothing_alive() -> None:
    """Neither classes that were met, nor what was found."""
    made = type("Made", (), {"__module__": "__main__"})
    search({"value": made(), "made": made, "rows": [made()]}, DEFAULT)
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None


def test_long_texts_by_the_name_of_a_secret_are_judged_quickly() -> None:
    """What a stand-in looks like is asked of short ones only: it takes the square of the length."""
    started = time.perf_counter()
    for text in ("[" * 60_000, "x" * 60_000 + "y", "." * 30_000 + "a", "your " + "a" * 60_000 + "\0"):
        DEFAULT.by_name("password", text)
    assert time.perf_counter() - started < 1


def test_one_known_value_is_the_beginning_of_another() -> None:
    """Nothing of the longer one stays."""
    known = search({"a": {"password": "hunter2-abc"}, "b": {"password": "hunter2-abc-and-more"}}, DEFAULT).known
    assert mask_code('print("hunter2-abc-and-more", "hunter2-abc")', DEFAULT, known) == f'print("{MASK}", "{MASK}")'
    assert DEFAULT.mask("hunter2-abcdefgh", ("hunter2-abc", "abcdefgh")) == MASK


SOURCES = [
    'token = "{}"',
    "x = 1  # {}",
    'password = "{}"',
    'cfg = {{"password": "{}", "user": "x"}}',
    'connect(host="h", password="{}")',
    'os.environ["API_KEY"] = "{}"',
    "%env TOKEN={}",
    "%env TOKEN {}",
    "%set_env PASSWORD={}",
    "!export TOKEN={}",
    "!mysql --user me --password {} db",
    '!curl -H "X-Api-Key: {}" https://h',
    "!curl -u me:{} https://h",
    "%%bash\nexport DB_PASSWORD={}\n",
    'keyring.set_password("a", "b", "{}")',
    'def f(a, *, api_key="{}"): pass',
    'if password == "{}": pass',
    'password = """{}"""',
    'password = b"{}"',
    "password = '{}'.strip()",
    'password = SecretStr("{}")',
    'a, password = 1, "{}"',
    'requests.get(u, auth=("me", "{}"))',
    'engine = create_engine("postgresql://me:{}@h/db")',
    "get_ipython().run_line_magic('env', 'TOKEN={}')",
    "get_ipython().run_cell_magic('time', '', 'password = \"{}\"\\n')",
    "get_ipython().system('export TOKEN={}')",
    'if broken python password = "{}"',
    'é = "ü"; password = "{}"; ö = 1',
]


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=25)
@example(secret="A00000=1")
@given(secret=st.text(LETTERS + "!#+,-.=?_", min_size=8, max_size=40).filter(lambda s: s[0] in LETTERS))
def test_no_mask_lets_a_secret_through(source: str, secret: str) -> None:
    """Whatever the secret, it stands nowhere in the masked text, which has as many lines."""
    if not DEFAULT.by_shape(secret) or secret in source:
        return
    text = source.format(secret)
    masked = mask_code(text, DEFAULT, (secret,) if source.startswith("x = ") else ())
    assert secret not in masked
    assert is_masked(masked)
    assert masked.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "source",
    ['password = getpass("Password: ")', 'token = os.environ["TOKEN"]', 'key = os.getenv("API_KEY")', '!echo "$TOKEN"',
     'token = open("token.txt").read()', 'api_key = userdata.get("API_KEY")', "%env TOKEN", "%env", "password = ask()",
     'headers = {"Authorization": f"Bearer {t}"}', 'tokens = ["the", "cat"]', 'password_hasher = "argon2"', "login()",
     'tokenizer = load("bert-base-uncased")', 'parser.add_argument("--password", help="the password of the user")',
     'df["password"] = df["password"].str.len()', 'password = ""', 'url = f"postgres://me:{password}@h/db"',
     'token = "word"'],
)  # fmt: skip
def test_what_says_only_where_a_secret_comes_from_stays(source: str) -> None:
    """Prompts, names of environment variables and files, and words are kept: such statements can be run again."""
    assert mask_code(source, DEFAULT) == source


def test_known_values_are_masked_wherever_they_stand() -> None:
    """A value that is a secret by now is masked where it has another name, or none."""
    assert mask_code('x = "hunter2"\nlogin("hunter2")', DEFAULT, ("hunter2",)) == f'x = "{MASK}"\nlogin("{MASK}")'
    assert search({"db_password": "pandas"}, DEFAULT).known == ()  # a word may stand anywhere


#: What a cell may be made of, whoever has written it: other ends of lines, halves of letters, open quotes.
PIECES = [
    *["password", "token", " = ", "(", ")", ",", "[", "]", "{", "}", ":", "é", "𝔸", "'", '"', '"""', "f'", "b'", "\\"],
    *["\n", "\r", "\r\n", "\f", "\x0b", "\x1c", "\x85", "\u2028", "\ud800", "\ufeff", "\0", "\t", "!"],
    *["#", "%env ", "%%bash", "?", " ", "if", "x", "hunter2abc", "=='", "-u a:b ", "=", "lambda "],
    *["system", "run_cell_magic('time', '', "],
]  # fmt: skip


@settings(max_examples=100)
@example(parts=["x = 1", "\r", 'password = "hunter2"'])
@example(parts=["\f", 'password = "é" "', "\u2028", '"; token = "hunter2abc"'])
@given(parts=st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25))
def test_any_text_can_be_masked(parts: list[str]) -> None:
    """No text is a reason to fail, Python or not; and it keeps its lines."""
    source = "".join(parts)
    assert mask_code(source, DEFAULT, ("hunter2",)).count("\n") == source.count("\n")
    assert "hunter2" not in mask_code(source, DEFAULT, ("hunter2",))


@pytest.mark.parametrize("end", ["\r", "\f", "\x0b", "\x1c", "\x85", "\u2028", "\r\n"])
def test_other_ends_of_lines(end: str) -> None:
    """What Python takes for the end of a line, or only others do, shifts no mask."""
    for source in (f'x = "é{end}"\npassword = "hunter2-abc"\n', f'x = 1{end}password = "hunter2-abc"; y = 1'):
        assert "hunter2" not in mask_code(source, DEFAULT)
        assert "password = " in mask_code(source, DEFAULT)


def test_lines_behind_a_magic_in_what_is_no_python() -> None:
    """They keep their numbers, and their secrets are masked, too."""
    masked = mask_code("%env PLACE=here\n%env TOKEN=hunter2-abc def\nif\nexport PASSWORD=hunter3", DEFAULT)
    assert masked == f"%env PLACE=here\n%env TOKEN={MASK}\nif\nexport PASSWORD={MASK}"


def test_many_lines_keep_their_numbers() -> None:
    """Lines behind a masked text are where they were, for tracebacks and for where the text of a class is."""
    source = 'api_key = """abc\ndef9\n"""\npassword = ("hunter" \n  "two2")\nx = 1'
    masked = mask_code(source, DEFAULT)
    assert masked.split("\n")[-1] == "x = 1"
    assert masked.count("\n") == source.count("\n")
    compile(masked, "<cell>", "exec")


def test_long_texts_are_not_copied() -> None:
    """A text that is too long to be looked through costs nothing, whatever stands beside it."""
    long = "a line of a log\n" * 4_000_000
    values = {"long": long, "short": "hello", "rows": ["hello", long]}
    search(values, DEFAULT)
    tracemalloc.start()
    try:
        assert not search(values, DEFAULT).whole
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pattern", [r"^tok\d+$", r"\Atok\d+\Z", r"tok\d+$", r"^tok\d+"])
@pytest.mark.parametrize("others", [0, 3, 600])
def test_a_pattern_of_the_settings_may_speak_of_beginning_and_end(pattern, others):
    """Texts that are asked about together are no less found by it: each begins and ends where it does."""
    values = {f"v{number}": f"some word {number}" for number in range(others)}
    values |= {"x": "tok123456", "row": ["a word here", "tok999999", "another"], "table": {"key": "tok555555"}}
    values |= {f"w{number}": f"some word {number}" for number in range(others)}
    found = search(values, Sieve(values=(pattern,)))
    assert set(found.whole) == {"x"}
    assert found.watched == {"row", "table"}
    assert not search(values, Sieve()).whole


@pytest.mark.parametrize("small", [["x", TOKEN], {"x": TOKEN}, ("x", [TOKEN])], ids=["list", "dict", "tuple"])
def test_the_smallest_containers_come_first(small):
    """Whatever they are: what is short is looked at, however many longer ones there are."""
    values = {f"d{number}": {f"some key {key}": key for key in range(99)} for number in range(300)}
    values |= {f"l{number}": [(key, "some text") for key in range(99)] for number in range(300)}
    values["small"] = small
    found = search(values, DEFAULT)
    assert found.watched == {"small"}
    assert "small" not in found.passed
    assert found.passed
