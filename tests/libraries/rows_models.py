"""Models of data and the tools around a notebook: sqlalchemy, pydantic, attrs, msgspec, requests, httpx, tqdm, ipywidgets, rich."""

from __future__ import annotations

from .table import Library, Row

SQLALCHEMY = Library(
    "SQLAlchemy",
    ("sqlalchemy",),
    (
        Row(
            "tables, selects, addresses, rows",
            """
import sqlalchemy as sa
from sqlalchemy import orm
metadata = sa.MetaData(); users = sa.Table('users', metadata, sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(50), nullable=False), sa.Index('by_name', 'name')); orders = sa.Table('orders', metadata, sa.Column('id', sa.Integer, primary_key=True), sa.Column('user', sa.ForeignKey('users.id'))); query = sa.select(users.c.name).where(users.c.id > 3).join(orders, orders.c.user == users.c.id); address = sa.engine.make_url('sqlite:///x.db'); text = sa.text('select 1'); rows = sa.create_engine('sqlite://').connect().execute(sa.text('select 1 as a')).fetchall(); insert = users.insert().values(name='n')
""",
            (
                "users.metadata is metadata and metadata.tables['orders'] is orders and orders.c.user.references(users.c.id) and address.database == 'x.db' and rows[0].a == 1 and [i.name for i in users.indexes] == ['by_name']",
                "engine_ = sa.create_engine('sqlite://'); metadata.create_all(engine_) is None and engine_.connect().execute(query).fetchall() == []",
                "sa.select(users).compile().string.startswith('SELECT users.id')",
            ),
            ("str(query), str(text), str(insert)",),
        ),
        Row(
            "mapped classes of the session and their objects",
            """
class Base(orm.DeclarativeBase): pass
class Person(Base):
    __tablename__ = 'person'
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
ada = Person(name='Ada')
""",
            skipped={"Base": "run the cell", "Person": "run the cell", "ada": "run the cell"},
        ),
        Row(
            "engines, connections, sessions",
            "engine = sa.create_engine('sqlite://'); connection = engine.connect(); session = orm.Session(engine); maker = orm.sessionmaker(engine); held = {'engine': engine, 'n': 1}; result = connection.execute(sa.text('select 1'))",
            ("held['n'] == 1",),
            skipped={
                "engine": "live connection",
                "connection": "live connection",
                "session": "live connection",
                "maker": "live connection",
                "held": "placeholder",
                "result": "live connection",
            },
        ),
    ),
)

PYDANTIC = Library(
    "pydantic",
    ("pydantic",),
    (
        Row(
            "models of the session: validators, nesting, generics, private attributes, adapters",
            """
from typing import Annotated, Generic, Optional, TypeVar, Literal
import pydantic
from pydantic import BaseModel, Field, PrivateAttr, TypeAdapter, ValidationError, ConfigDict, computed_field, field_validator, model_validator, create_model, RootModel
from pydantic.dataclasses import dataclass
class Address(BaseModel):
    model_config = ConfigDict(frozen=True)
    city: str = Field(min_length=1); zip: int | None = None
class User(BaseModel):
    name: str; age: Annotated[int, Field(ge=0)] = 0; address: Address; tags: list[str] = []; friends: list['User'] = []
    _secret: int = PrivateAttr(default=5)
    @field_validator('name')
    @classmethod
    def upper(cls, value): return value.upper() + suffix
    @computed_field
    @property
    def label(self) -> str: return f'{self.name} ({self.age})'
suffix = ''; user = User(name='ada', address=Address(city='London')); user._secret = 9; user.friends.append(User(name='bob', address=user.address)); same = [user, user.address]; T = TypeVar('T')
class Box(BaseModel, Generic[T]):
    item: T
box = Box[int](item=3); Made = create_model('Made', x=(int, 1)); made = Made(); adapter = TypeAdapter(list[User])
@dataclass
class Point:
    x: int; y: int = 2
point = Point('1')
class Left(BaseModel):
    right: Optional['Right'] = None
class Right(BaseModel):
    left: Optional[Left] = None
Left.model_rebuild(); chain = Left(right=Right(left=Left())); Names = RootModel[list[str]]; names = Names(['a'])
def fails():
    try: User(name='x', age=-1, address={'city': ''})
    except ValidationError as error: return sorted(e['type'] for e in error.errors())
class Pet(BaseModel):
    kind: Literal['cat', 'dog']
    class Config: extra = 'allow'
pet = Pet(kind='cat', more=1)
""",
            (
                "user.name == 'ADA' and user._secret == 9 and user.label == 'ADA (0)' and type(user) is User and same[0] is user and same[1] is user.address and user.friends[0].address is user.address",
                "fails() == ['greater_than_equal', 'string_too_short'] and User.model_validate_json(user.model_dump_json(exclude={'label'})).name == 'ADA'",
                "suffix = '!'; User(name='x', address={'city': 'y'}).name == 'X!'",
                "type(box) is Box[int] and box.item == 3 and Box[str](item='a').item == 'a' and made.x == 1 and Made(x='5').x == 5",
                "adapter.validate_python([{'name': 'q', 'address': {'city': 'c'}}])[0].address.city == 'c' and point == Point(1, 2) and point.x == 1",
                "type(chain.right.left) is Left and Left.model_validate({'right': {'left': {}}}).right.left is not None and names.root == ['a'] and type(names) is Names and pet.more == 1",
                "hash(user.address) == hash(Address(city='London')) and user.model_copy(update={'age': 3}).age == 3 and user.model_fields_set == {'name', 'address'}",
            ),
            ("User.model_json_schema(), user.model_dump()",),
        ),
    ),
)

ATTRS = Library(
    "attrs",
    ("attrs",),
    (
        Row(
            "classes of the session: slots, frozen, validators, converters, factories",
            """
import attrs, attr
from attrs import define, frozen, field, validators
@define
class Point:
    x: int = field(converter=int); y: list = field(factory=list); z: float = field(default=1., validator=validators.gt(0))
    _hidden: int = 3
    def norm(self): return self.x * scale
    def __attrs_post_init__(self): made.append(self.x)
@frozen(order=True)
class Key:
    name: str; tags: tuple = ()
@attr.s(auto_attribs=True)
class Old:
    a: int; b: int = attr.ib(default=attr.Factory(lambda self: self.a * 2, takes_self=True))
@define
class Child(Point):
    extra: str = 'e'
    def norm(self): return super().norm() + 1
made = []; scale = 2; point = Point('4', ['k']); key = Key('n', (1,)); old = Old(3); child = Child(5); keyed = {key: point}; attributes = attrs.fields(Point); nothing = attrs.NOTHING; cls_made = attrs.make_class('Made', ['q']); one = cls_made(q=1)
def fails():
    try: Point(1, z=-1)
    except ValueError: return True
""",
            (
                "point.x == 4 and point.y == ['k'] and point.norm() == 8 and point._hidden == 3 and not hasattr(point, '__dict__') and made == [4, 5]",
                "keyed[Key('n', (1,))] is point and Key('a') < Key('b') and old == Old(3) and old.b == 6 and child.norm() == 11 and type(child) is Child",
                "fails() is True and attrs.evolve(point, x='7').x == 7 and attrs.asdict(old) == {'a': 3, 'b': 6} and attributes.z.default == 1. and nothing is attrs.NOTHING and one.q == 1 and one == cls_made(q=1)",
                "isinstance(attrs.fields(Point), type(attributes)) and attrs.has(Child)",
                "__import__('pytest').raises(attrs.exceptions.FrozenInstanceError, setattr, key, 'name', 'x') is not None",
            ),
        ),
    ),
)

MSGSPEC = Library(
    "msgspec",
    ("msgspec",),
    (
        Row(
            "structs of the session, encoders, decoders",
            """
import msgspec
class Point(msgspec.Struct, frozen=True, order=True):
    x: int; y: float = 2.
class Tree(msgspec.Struct, tag='tree'):
    name: str; children: list['Tree'] = []
    def size(self): return 1 + sum(c.size() for c in self.children)
class Api(msgspec.Struct, rename='camel', kw_only=True, omit_defaults=True, tag='api'):
    user_name: str; last_tags: list[str] = msgspec.field(default_factory=list); n: int = 3
class Long(Api, kw_only=True):
    extra: bool = False
api = Api(user_name='u'); long = Long(user_name='l', extra=True); point = Point(1); tree = Tree('r', [Tree('a'), Tree('b', [Tree('c')])]); shared = tree.children[0]; decoder = msgspec.json.Decoder(Point); encoder = msgspec.json.Encoder(); raw = msgspec.json.encode(tree)
""",
            (
                "point == Point(1, 2.) and hash(point) == hash(Point(1)) and tree.size() == 4 and type(tree.children[1]) is Tree and shared is tree.children[0]",
                "api == Api(user_name='u') and Api(user_name='v').last_tags == [] and type(long) is Long and isinstance(long, Api) and long.n == 3",
                "msgspec.json.decode(raw, type=Tree) == tree and msgspec.json.decode(b'{\"x\": 3}', type=Point).y == 2. and msgspec.structs.replace(point, x=9).x == 9",
            ),
            (
                "msgspec.json.encode([api, long, point, tree]), Long.__struct_config__.tag, msgspec.structs.fields(Api)[0].encode_name",
            ),
            skipped={"decoder": "cannot be pickled", "encoder": "cannot be pickled"},
        ),
    ),
)

REQUESTS = Library(
    "requests",
    ("requests",),
    (
        Row(
            "sessions with cookies and headers, prepared requests, responses",
            """
import requests
session = requests.Session(); session.headers['X-Who'] = 'me'; session.cookies.set('k', 'v', domain='example.org'); session.auth = ('user', 'word'); session.mount('https://example.org', requests.adapters.HTTPAdapter(max_retries=3, pool_maxsize=4)); prepared = session.prepare_request(requests.Request('POST', 'https://example.org/a', json={'a': 1})); jar = session.cookies
response = requests.Response(); response.status_code = 200; response._content = b'{"ok": true}'; response.url = 'https://example.org/a'; response.encoding = 'utf-8'
def hook(r, *a, **k): return r
session.hooks['response'].append(hook)
""",
            (
                "session.headers['x-who'] == 'me' and session.cookies.get('k') == 'v' and session.cookies is jar and session.auth == ('user', 'word') and session.get_adapter('https://example.org/b').max_retries.total == 3 and session.hooks['response'] == [hook]",
                "prepared.body == b'{\"a\": 1}' and prepared.headers['X-Who'] == 'me' and response.json() == {'ok': True} and response.ok",
                "session.cookies.set('n', '1') is not None and 'n=1' in session.prepare_request(requests.Request('GET', 'https://example.org')).headers['Cookie']",
            ),
        ),
    ),
)

HTTPX = Library(
    "httpx",
    ("httpx",),
    (
        Row(
            "clients, requests, responses, addresses, headers",
            """
import httpx
headers = httpx.Headers({'X-Who': 'me'}); url = httpx.URL('https://example.org/a?b=1'); request = httpx.Request('GET', url, headers=headers); response = httpx.Response(200, json={'ok': True}, request=request); cookies = httpx.Cookies({'k': 'v'}); timeout = httpx.Timeout(3.); limits = httpx.Limits(max_connections=2); client = httpx.Client(headers=headers, base_url='https://example.org'); aclient = httpx.AsyncClient(); held = {'client': client, 'n': 1}
""",
            (
                "url.params['b'] == '1' and request.headers['x-who'] == 'me' and response.json() == {'ok': True} and response.request.url == url and cookies['k'] == 'v' and timeout.read == 3 and limits.max_connections == 2 and held['n'] == 1 and held['client'] is client",
                "client.headers['x-who'] == 'me' and str(client.base_url) == 'https://example.org' and not client.is_closed and client.build_request('GET', '/a').url == 'https://example.org/a'",
                "ssl_ = client._transport._pool._ssl_context; ssl_.verify_mode.name == 'CERT_REQUIRED' and ssl_.cert_store_stats()['x509_ca'] > 10",
                "__import__('pytest').raises(httpx.ConnectError, client.get, 'https://127.0.0.1:9/') is not None",
            ),
            remark="a client's connections are opened anew; with a proxy, or certificates of its own, it is skipped",
        ),
    ),
)

TQDM = Library(
    "tqdm",
    ("tqdm",),
    (
        Row(
            "progress bars: finished, counted by hand, silent",
            """
from tqdm import tqdm, trange
from tqdm.auto import tqdm as auto
from tqdm.notebook import tqdm as notebook
done = tqdm(range(3), disable=None, leave=False)
for _item in done: pass
manual = tqdm(total=10, file=__import__('sys').stderr); manual.update(4); silent = tqdm([1, 2], disable=True)
""",
            (
                "done.n in (0, 3) and manual.n == 4 and manual.total == 10 and list(silent) == [1, 2]",
                "manual.update(1); manual.n == 5",
                "manual.set_description('d') is None and manual.close() is None",
            ),
        ),
        Row(
            "bars around a running generator",
            "around = tqdm((n for n in range(3)), file=__import__('sys').stderr)",
            skipped={"around": "running code"},
        ),
    ),
)

IPYWIDGETS = Library(
    "ipywidgets",
    ("ipywidgets",),
    (
        Row(
            "controls, boxes, links, callbacks",
            """
import ipywidgets as w
slider = w.IntSlider(value=3, max=9, description='n'); text = w.Text('t'); box = w.VBox([slider, text]); seen = []; slider.observe(lambda change: seen.append(change['new']), 'value'); link = w.link((slider, 'value'), (progress := w.IntProgress(max=9), 'value')); button = w.Button(description='go'); button.on_click(lambda b: seen.append('click')); out = w.Output(); layout = w.Layout(width='50%'); drop = w.Dropdown(options=[('a', 1), ('b', 2)], value=2)
""",
            (
                "slider.value == 3 and slider.max == 9 and slider.description == 'n' and box.children[0] is slider and drop.value == 2 and drop.label == 'b' and layout.width == '50%'",
                "slider.value = 5; seen[-1] == 5 and progress.value == 5",
                "button.click() is None and seen[-1] == 'click'",
                "w.widgets.widget._instances[slider.model_id] is slider",
            ),
            remark="",
        ),
    ),
)

RICH = Library(
    "rich",
    ("rich",),
    (
        Row(
            "consoles, tables, texts, trees, progress",
            """
import io
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree
from rich.panel import Panel
from rich.progress import Progress
from rich.style import Style
table = Table('A', 'B', title='T'); table.add_row('1', '[bold]2[/]'); text = Text('hi', style='red'); tree = Tree('root'); branch = tree.add('leaf'); panel = Panel(text, title='P'); style = Style(bold=True); console = Console(width=60); recorder = Console(file=io.StringIO(), width=40, record=True)
def shown(what):
    c = Console(file=io.StringIO(), width=40); c.print(what); return c.file.getvalue()
""",
            (
                "panel.renderable is text and tree.children[0] is branch and style == Style(bold=True) and console.width == 60 and console.file is not None",
                "recorder.print('x') is None and 'x' in recorder.export_text()",
            ),
            ("shown(table), shown(tree), shown(panel)", "table.add_row('3', '4'); shown(table)"),
        ),
        Row(
            "a progress display",
            "progress = Progress(); task = progress.add_task('work', total=4); progress.update(task, advance=1)",
            (
                "progress.tasks[0].completed == 1 and progress.update(task, advance=1) is None and progress.tasks[0].completed == 2",
            ),
        ),
    ),
)

LIBRARIES = (SQLALCHEMY, PYDANTIC, ATTRS, MSGSPEC, REQUESTS, HTTPX, TQDM, IPYWIDGETS, RICH)
