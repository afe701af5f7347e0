"""An exception told to a model: what is in it, and what never is."""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import random
import re
from itertools import zip_longest
from string import ascii_letters, digits

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.context.exception_report import MAX_CHARS, exception_report
from qwen_magic.context.secrets import _NO_PYTHON, Secrets
from qwen_magic.masking import (
    _SHAPES,
    NAMED_ANY,
    NAMED_QUOTED,
    is_secret_name,
    known_secrets,
    redact,
    typed_key,
    without_named,
)

unhurried = settings(deadline=None)  # the machine may be busy


class Cells:
    """Runs sources as cells, numbered from 1, in one namespace."""

    def __init__(self, **namespace):
        self.namespace = {"__name__": "__main__", **namespace}
        self.numbers = {}

    def run(self, source, number=None):
        """The exception that it raises, or None."""
        number = number or len(self.numbers) + 1
        name = f"<cell of test {number}>"
        self.numbers[name] = number
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(source, name, "exec", flags=flags, dont_inherit=True)
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, self.namespace))
            else:
                exec(code, self.namespace)
        except (Exception, SystemExit) as error:
            return error

    def report(self, source, **options):
        return exception_report(self.run(source), cells=self.numbers, **options)


def test_the_cell_the_way_and_the_values():
    cells = Cells()
    cells.run("def share(part, whole):\n    unused = 7\n    return part / whole")
    report = cells.report("x = 3\nother = 4\nshare(x, 0)")
    assert report.title == "ZeroDivisionError"
    assert report.cell == 2
    assert "ZeroDivisionError: division by zero" in report.text
    assert "     2  other = 4\n>>   3  share(x, 0)" in report.text
    assert "cell 1, line 3, in share\n     1  def share" in report.text, "whole, as it is elsewhere"
    assert ">>   3      return part / whole" in report.text
    assert report.names == ("part", "whole", "share", "x")
    assert "part: int = 3\nwhole: int = 0" in report.text
    assert "other:" not in report.text
    assert report.contents == "cell 2, the traceback, the values of part, whole, share, x"


def test_libraries_take_one_line_each():
    report = Cells().report("import json\njson.loads('{')")
    assert re.search(r"json/decoder\.py:\d+, in JSONDecoder\.raw_decode", report.text)
    assert "def raw_decode" not in report.text
    assert "/lib/" not in report.text


def test_only_the_head_of_a_block_counts():
    report = Cells().report("a, b, c = 1, 0, 2\nif a / b:\n    print(c)")
    assert report.names == ("a", "b")


def test_attributes_are_read_and_properties_never_run():
    report = Cells().report(
        "ran = []\n"
        "class Shop:\n"
        "    def __init__(self):\n        self.stock = [1]\n"
        "    @property\n    def live(self):\n        ran.append(1)\n        return 0\n"
        "shop = Shop()\n"
        "shop.stock[5] or shop.live"
    )
    assert "shop.stock: list = [1]" in report.text
    assert "shop.live" not in report.names


def test_cells_are_shown_as_typed_where_their_lines_match():
    class Shell:
        def system(self, command):
            pass

    ran = "get_ipython().system('ls')\n1 / 0"

    def shown(typed):
        return Cells(get_ipython=Shell).report(ran, typed={1: typed}).text

    assert "     1  !ls\n>>   2  1 / 0" in shown("!ls\n1 / 0\n")
    assert "system('ls')" in shown("# more\n!ls\n1 / 0")
    assert "system('ls')" in shown("!ls\n2 / 0"), "another cell"


def test_what_the_failing_statement_names():
    report = Cells().report(
        "import math\nrows, spare, row = [1], 0, {'n': [2]}\n"
        "total = sum(row['n'][0] / part\n"
        "            for part in rows) / spare; other = row"
    )
    assert {"rows", "spare", "row"} <= set(report.names)
    assert not {"math", "total", "other", "sum"} & set(report.names)
    assert "sum: int = 3" in Cells().report("sum = 3\nsum([1, 2])").text, "a builtin's name, bound"


def test_a_source_that_python_warns_of_is_told_without_a_warning():
    with pytest.warns():
        error = Cells().run("pattern = '\\d'\n1 / 0")
    report = exception_report(
        error, cells={error.__traceback__.tb_next.tb_frame.f_code.co_filename: 1}
    )
    assert "pattern = '\\d'" in report.text


def test_a_syntax_error_has_its_cell_and_no_way():
    report = Cells().report("x = 1\ny = (\nz = 2")
    assert ">>   2  y = (" in report.text
    assert "SyntaxError: '(' was never closed (line 2, column 5)" in report.text
    assert "it was not run" in report.text
    assert report.names == ()


def test_an_async_cell():
    report = Cells().report(
        "import asyncio\nasync def fetch(n):\n    await asyncio.sleep(0)\n    return 1 / n\n"
        "await fetch(0)"
    )
    assert ">>   4      return 1 / n" in report.text
    assert ">>   5  await fetch(0)" in report.text
    assert report.names[:1] == ("n",)


def test_causes_and_members_are_told_in_short():
    report = Cells().report(
        "try:\n    {}['price']\nexcept KeyError as error:\n"
        "    raise ValueError('no price') from error"
    )
    assert "caused by: KeyError: 'price'\n    cell 1, line 2, in <module>" in report.text
    report = Cells().report(
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n"
        "    raise ExceptionGroup('two', [ValueError('one'), TypeError('other')])"
    )
    assert "raised while handling: ZeroDivisionError" in report.text
    assert "one of the group: ValueError: one" in report.text
    assert "one of the group: TypeError: other" in report.text


def test_exceptions_that_belong_to_themselves():
    error = Cells().run("1 / 0")
    error.__cause__ = ValueError("round")
    error.__cause__.__cause__ = error
    assert exception_report(error).text.count("round") == 1


def test_a_recursion_is_counted():
    report = Cells().report("def a(n): return b(n)\ndef b(n): return a(n)\na(1)")
    assert "more times through these places" in report.text
    assert report.text.count("in b") == 2
    assert len(report.text) < 3_000


@pytest.mark.parametrize("raised", ["ValueError()", "SystemExit(1)", "RecursionError()"])
def test_a_broken_repr_breaks_nothing(raised):
    report = Cells().report(
        f"class Bad:\n    def __repr__(self): raise {raised}\n    __str__ = __repr__\n"
        "class Worse(Exception):\n    def __str__(self): raise KeyError\n"
        "bad = Bad()\nitems = [bad]\nraise Worse(bad, items)"
    )
    assert "Worse: (no message: it raises KeyError)" in report.text
    assert {"bad", "items"} <= set(report.names)


def test_everything_is_capped():
    names = [f"v{n}" for n in range(30)]
    source = (
        "\n".join(f"{name} = 'some words ' * 100_000" for name in names)
        + "\n# long line " + "words " * 5_000
        + "\n" + "pass\n" * 3_000
        + f"raise ValueError({' + '.join(names)})"
    )  # fmt: skip
    report = Cells().report(source)
    assert len(report.names) == 12
    assert len(report.text) < 3 * MAX_CHARS
    assert ">> 3032  raise ValueError" in report.text


def test_what_was_never_raised_and_errors_without_a_source():
    report = exception_report(ValueError("made by hand"), last_input="x = 1")
    assert "The input" in report.text
    assert report.contents == "the last input, the traceback"
    assert exception_report(ValueError("made by hand")).contents == "the traceback"


def test_fences_hold_what_has_fences():
    report = Cells().report('text = """\n````\n"""\nraise ValueError(text)')
    assert "`````text\n" in report.text


# Secrets -----------------------------------------------------------------------------------------

# Letters of both cases and digits, so that no word of a report holds them by chance.
canaries = st.from_regex(r"Q[A-Za-z0-9]{6,30}7[A-Z]", fullmatch=True)
services = st.builds("{}{}".format, st.sampled_from(["sk-", "sk-proj-", "ghp_", "hf_"]), canaries)
PLACES = [
    "api_key = {0!r}\nraise ValueError(api_key)",
    "db_password = {0!r}\nconnect = dict(db_password=db_password)\nraise ValueError(connect)",
    "config = {{'auth': {{'access_token': {0!r}}}, 'host': 'h'}}\nraise ValueError(config)",
    "rows = [{{'secret': {0!r}}}]\nother = rows[0]['secret']\nraise ValueError('see ' + other)",
    "class C:\n    def __init__(self):\n        self.token = {0!r}\n"
    "    def __repr__(self):\n        return f'<C {{self.token}}>'\nc = C()\nraise ValueError(c)",
    "from dataclasses import dataclass\n@dataclass(slots=True)\nclass D:\n    passwd: str\n"
    "d = D({0!r})\nraise ValueError(d)",
    "def call(n, client_secret={0!r}):\n    return n / 0\ncall(1)",
    "headers = {{}}\nheaders['Authorization'] = 'Bearer ' + {0!r}\nraise ValueError(headers)",
    "url = 'postgres://user:{0}@host/db'\nraise ValueError(url)",
    "user, password = 'me', {0!r}\nif password == 'x': pass\nraise ValueError(user)",
    "# password: {0}\n1 / 0",
    "token = '''\n{0}\n'''\nraise ValueError(token.strip())",
    "import os\nvalue = os.environ.get('X_TOKEN', {0!r})\nraise KeyError(value)",
    "import pandas as pd\ndf = pd.DataFrame({{'user': [1], 'api_key': [{0!r}]}})\ndf['no']",
    "s = 'host=h;password={0};x=1'\nraise ValueError(s)",
    "run = print\nrun('!curl --token {0}')\nrun('%env API_TOKEN={0}')\n1 / 0",
    "api_key = (\n    {0!r}\n    'tail of it'\n)\nraise ValueError(api_key)",
]


@unhurried
@given(canaries, st.sampled_from(PLACES))
def test_a_secret_is_known_by_its_place(canary, place):
    report = Cells().report(place.format(canary))
    assert "Error" in report.title
    assert canary not in report.text
    assert "[masked]" in report.text


@unhurried
@given(services, st.sampled_from(["x = {0!r}", "x = ['a', {0!r}]", "x = {{'n': {0!r}}}"]))
def test_a_secret_is_known_by_its_look(canary, place):
    report = Cells().report(f"# {canary}\n{place.format(canary)}\nraise ValueError(str(x), x)")
    assert canary not in report.text
    assert canary[-8:] not in report.text


@unhurried
@given(canaries, st.integers(0, 1_200))
def test_a_secret_is_not_left_in_part_where_a_value_is_cut(canary, before):
    cells = Cells(password=canary, filler="a " * before)
    report = cells.report("x = [filler + password]\ny = filler + password\nraise ValueError(x, y)")
    assert canary[:5] not in report.text


def test_secrets_of_the_environment():
    found = known_secrets({"HF_TOKEN": "no pattern here", "PATH": "/usr/bin", "X_KEY": "/etc/key"})
    assert "no pattern here" in found  # beside those that this session knows already
    assert not {"/usr/bin", "/etc/key"} & set(found)
    report = Cells().report("x = 'so: no pattern here'\nraise ValueError(x)", secrets=found)
    assert "no pattern here" not in report.text


IN_VARIABLES = [
    ("HTTPS_PROXY", "ann:hunter2xyz@proxy:3128"),
    ("ALL_PROXY", "socks5h://ann:hunter2xyz@proxy:1"),
    ("PIP_EXTRA_INDEX_URL", "https://a.example https://__token__:hunter2xyz@b.example/simple"),
    ("JDBC", "jdbc:mysql://h/db?user=ann&password=hunter2xyz"),
    ("ODBC", "Driver=x;Server=h;Uid=ann;Pwd=hunter2xyz;"),
    ("APP_CONFIG", '{"user": "ann", "api_key": "hunter2xyz"}'),
    ("API_KEYS", "another1key,hunter2xyz"),
    ("GITHUB_PAT", "hunter2xyz"),
    ("EXTRA_HEADERS", "Authorization: Bearer hunter2xyz"),
]
NOT_IN_VARIABLES = {
    "PS1": "\\u@\\h:\\w$ ",
    "GIT_AUTHOR_EMAIL": "somebody7@example.org",
    "SSH_AUTH_SOCK": "/tmp/ssh-X7/agent.12345678",
    "AUTH_URL": "https://login.example.org/oauth2",
    "TOKENIZERS_PARALLELISM": "false",
    "LS_COLORS": "rs=0:di=01;34:pi=40;33",
    "KEY": "production",
}


@pytest.mark.parametrize(("name", "value"), IN_VARIABLES)
def test_secrets_inside_a_variable(name, value):
    assert "hunter2xyz" in known_secrets({name: value})


def test_what_is_no_secret_in_a_variable():
    assert known_secrets(NOT_IN_VARIABLES) == known_secrets({})


def test_secrets_in_source_that_does_not_parse():
    report = Cells().report("login(password='hunter2 and more', api_key=\"abc-1\"")
    assert "hunter2" not in report.text
    assert "abc-1" not in report.text


@pytest.mark.parametrize(
    "text",
    [
        "0123456789abcdef0123456789abcdef",
        "x = AbC3dEfG7hIjK1mNoP5qRsT9uVwXyZ0123",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_def",
        "AKIAIOSFODNN7EXAMPLE",
        "Authorization: Bearer abcdef",
        'api_key: "abc", other',
    ],
)
def test_looks_of_secrets(text):
    masked = Secrets().mask(text)
    assert "[masked]" in masked
    assert masked.count("\n") == text.count("\n"), "lines keep their numbers"
    assert not {"abc", "abcdef", "AKIAIOSFODNN7EXAMPLE"} & set(masked.replace('"', " ").split())


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'price'",
        "for key in keys: total += prices[key]",
        "frame.sort_values(by='name', key=lambda column: column.str.lower())",
        "test_the_very_long_name_of_a_function_with_2_numbers_and_1_more",
        "/home/john/projects/analysis_2026/data/sales_2026_01_final_v2.csv",
        "https://example.com/a/very/long/path/of/some/page/2026/01/02",
        "api_key = os.environ['DASHSCOPE_API_KEY']",
        "author = 'Jane Austen'",
        "keyboard = 'qwerty'",
        "%time pass",
        "import hf_hub; from sk_learn import x  # sk-learn",
    ],
)
def test_what_is_no_secret_stays(text):
    assert Secrets().mask(text, code=True) == text


def test_what_is_passed_before_a_name_is_no_secret():
    cells = Cells(magic=lambda *given: 1 / 0)
    assert "magic('time', 'pass')" in cells.report("magic('time', 'pass')").text
    assert "'hunter2'" not in Cells(set=print).report("set('password', 'hunter2')\n1 / 0").text


def test_a_large_namespace_is_searched_in_bounds():
    cells = Cells(
        rows=[{"secret": f"row-{n}"} for n in range(100_000)],
        deep={"password": "hunter-22"},
    )
    report = cells.report("x = str(rows[:1]), deep['password']\nraise ValueError(x)")
    assert "hunter-22" not in report.text
    assert "row-0" not in report.text


def test_names_of_secrets():
    yes = ["api_key", "APIKey", "dbPassword", "authToken", "mytoken", "AWS_SECRET_ACCESS_KEY",
           "x-api-key", "Authorization", "pwd", "private_key", "tokens"]  # fmt: skip
    no = ["KeyError", "keyword", "monkey", "author", "passed", "compass", "x", "df", "tokenizer"]
    assert [name for name in yes if not is_secret_name(name)] == []
    assert [name for name in no if is_secret_name(name)] == []


def test_a_key_that_is_a_column_leaves_the_code_readable():
    report = Cells().report("prices = {}\nfor key in ['price']:\n    prices[key] + 1")
    assert "for key in ['price']" in report.text
    assert "KeyError: 'price'" in report.text


@pytest.mark.parametrize(
    "text",
    [
        "Retry: password=hunter2x",
        "a=b&password=hunter2x&c=d",
        "https://x.org/?user=a&token=hunter2x&z=1",
        "redis://:hunter2x@host:6379/0",
        "postgres://ann:h@hunter2x@host/db",
        "see: k: password = 'hunter2x'",
    ],
)
def test_a_password_is_found_wherever_a_name_stands_before_it(text):
    assert "hunter2x" not in Secrets().mask(text)


# What the published detectors look for (Gitleaks' rules, detect-secrets, and services that they do
# not know yet), with how much of which characters is random: `a` letters and digits, `l` letters,
# `u` those of upper case and digits, `d` digits, `h` hexadecimal, `x` the same in both cases, `w`
# also `-` and `_`.
DETECTED = """
    LTAI{a20} STS.{a24} AKID{a32} AKLT{a44} ABSK{a109}== AKIA{u16} ASIA{u15}2 A3TX{u16} AIza{w35}
    ya29.{w60} GOCSPX-{w28} {a3}4Q~{w31} v1.0-{h24}-{h146} dop_v1_{h64} doo_v1_{h64} dapi{h32}-2
    t1.{w20}.{w86}== YC{w38} AQVN{w36} bce-v3/ALTAK-{a21}/{h40} sl.{w135} fo1_{w43} fm2_{a100}==
    sk-{h32} sk-{a48} sk-{l48} sk-proj-{w58}T3BlbkFJ{w58} sk-ant-api03-{w93}AA sk-or-v1-{h64}
    hf_{l34} api_org_{l34} gsk_{a52} xai-{a80} r8_{a37} nvapi-{w64} tgp_v1_{w43} pplx-{a48}
    csk-{a48} tvly-dev-{a32} pcsk_{a6}_{a63} jina_{h32}{w28} fw_{a24} lsv2_pt_{h32}_{h10}
    wandb_v1_{a70} sk_{h48} ms-{h8}-{h4}-{h4}-{h4}-{h12} {h32}.{a16} KGAT_{h32} ghp_{a36}
    github_pat_{a82} glpat-{w20} gloas-{h64} glsoat-{w20} GR1348941{w20} npm_{a36}
    pypi-AgEIcHlwaS5vcmc{w50} rubygems_{h48} oy2{h43} CLOJARS_{h60} AKCp{a69} cmVmd{a59}
    ATATT3{w186} ATBB{a32} bkua_{a40} CCIPAT_{a22}_{h40} sgp_{h16}_{h40} squ_{h40} API-{u26}
    dckr_pat_{w27} xoxb-{d12}-{d12}{a24} xoxp-{d12}-{d12}-{d12}-{h32} xoxe.xoxp-1-{u164}
    xapp-1-{u11}-{d13}-{h64} hooks.slack.com/services/{a46} hooks.slack.com/workflows/{a46}
    discord.com/api/webhooks/{d18}/{w68}
    open.feishu.cn/open-apis/bot/v2/hook/{h8}-{h4}-{h4}-{h4}-{h12} M{a23}.{w6}.{w27} {d6}:A{w34}
    {d10}:AA{w33} SG.{w22}.{w43} key-{h32} {h32}-us12 {h32}-{h8}-{h8} SK{x32} AC{h32}
    xkeysib-{h64}-{a16} sk_live_{a24} rk_test_{a24} whsec_{a32} sq0atp-{w22} EAAA{w60} EAAC{a100}
    {d15}|{w27} EZAK{a54} shpat_{x32} shippo_live_{x40} FLWSECK_TEST-{h32}-X duffel_test_{w43}
    hvs.{w90} hvb.{w138} s.{a23}7 {a14}.atlasv1.{w60} glc_{a60} glsa_{a32}_{x8} sntrys_{a60}
    sntryu_{h64} NRAK-{u27} HRKU-AA{w58} nfp_{a36} dp.pt.{a43} dt0c01.{u24}.{u64} pul-{h40}
    pscale_tkn_{w43} tskey-auth-{a12}-{a30} sha256~{w43} PMAK-{h24}-{h34} lin_api_{a40}
    ntn_{d11}{a35} secret_{a43} figd_{w40} tfp_{w44} pnu_{a36} pat{a14}.{h64} pat.{w22}.{h24}.{a20}
    rdme_{h70} sbp_{h40} sm_pat_{a16} sb_secret_{w31} CFPAT-{w43} AVNS_{w19} dnkey-{w26}-{w52}
    fio-u-{w64} p8e-{a32} ico-{a32} phx_{a43} A3-{u6}-{u11}-{u5}-{u5}-{u5} ops_eyJ{a250}
    AGE-SECRET-KEY-1{u58} {a6}_{a29}_mmk eyJ{a30}.eyJ{a60}.{w43} ?Signature={a30}%3D
    ?x-oss-signature={h64} ?key={h8}-{h4}-{h4}-{h4}-{h12} ?access_token={h64} AccountKey={a86}==
"""
_OF = {"l": ascii_letters, "d": digits, "u": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
       "h": "0123456789abcdef", "x": "0123456789ABCDEFabcdef", "a": ascii_letters + digits,
       "w": ascii_letters + digits + "-_"}  # fmt: skip


@pytest.mark.parametrize("form", DETECTED.split())
def test_keys_of_published_detectors(form):
    lot = random.Random(form)
    for _ in range(5):
        parts = re.split(r"\{(\w)(\d+)\}", form)
        drawn = ["".join(lot.choices(_OF[of], k=int(n))) for of, n in zip(parts[1::3], parts[2::3])]  # noqa: B905
        key = "".join(a + b for a, b in zip_longest(parts[::3], drawn, fillvalue=""))
        for text in (redact(f"'https://e.org/{key}' {key}, x"), Secrets().mask(f"x = '{key}'")):
            assert not [piece for piece in drawn if len(piece) > 9 and piece[-9:] in text], key


# Beside the words: one of each kind of number that looks drawn by lot, or was.
ORDINARY = [
    *("bearer bonds are rare", "bearer token authentication", "Basic OAuth2 flow", "basic English"),
    *("Basic authentication", "the secret of success", "Password: required", "tokens: 1,204"),
    *("password = getpass.getpass('Password: ')", "api_key = os.environ['OPENAI_API_KEY']"),
    *("token = tokenizer.encode(text)", "login(user: str, password: str) -> None", "sort_key=name"),
    *("sk-learn", "sk-image", "class='sk-container-id-1 sk-toggleable__content'", "xoxo-gossip"),
    *("xai_explainability_method_of_choice", "hf_hub_download_v2", "npm_config_registry2_of_all"),
    *("github_pat_token", "glpat-token", "dp.test.some_long_function_name", "sk_test_mode_is_on"),
    *("secret_ballot_is_a_principle", "ASIAPACIFICREGION", "t1.SomeLongClassNameOfAColumn"),
    *(
        "密码是什么?",
        "请输入密码：",
        "令牌数量=128",
        "パスワードを入力してください",
        "пароль: обязательно",
    ),
    *("postgres://localhost:5432/db", "at 10:45@cafe", "https://x.example/?page=2&q=token&key=id"),
    *("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", "ISBN 978-3-16-148410-0"),
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709, 7f6f2a-11, d41d8cd98f00b204e9800998ecf8427e",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  file.tar.gz",
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf6, doi:10.1038/s41586-020-2649-2, DE89370400440532013000",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA",
    "InChI=1S/C8H10N4O2/c1-10-4-9-6-5(10)7(13)12(3)8(14)11(6)2/h4H,1-3H3",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_are_no_keys(text):
    assert [redact(text), without_named(text), typed_key(text)] == [text, text, ""]


def test_fields_and_indexes_by_name():
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    report = Cells(np=np, pd=pd).report(
        "r = np.array([('ann', 'hunter2x')], dtype=[('user', 'U9'), ('password', 'U12')])\n"
        "s = pd.Series({'user': 'ann', 'password': 'hunter3x'})\nr[s]"
    )
    assert "hunter" not in report.text
    assert "ann" in report.text


@pytest.mark.parametrize("pattern", [_NO_PYTHON, NAMED_ANY, NAMED_QUOTED, *_SHAPES])
def test_no_pattern_walks_over_lines_without_a_bound(pattern):
    """White space, and what may be newlines, is bounded: a run of it is walked once."""
    assert not re.search(r"\\s[*+]", pattern), pattern
