"""Catalogues asked for over a real socket, kept, and what they tell."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.usage import Money
from qwen_magic.endpoints import DASHSCOPE, DASHSCOPE_BEIJING, TOKEN_PLAN, Endpoint
from qwen_magic.errors import AuthenticationError, UsageError
from qwen_magic.frontends.dry_run import Price
from qwen_magic.magics.view_factory import dry_run_of
from qwen_magic.protocol.response import Usage
from qwen_magic.session.host_facts import WEEK, Catalogues
from qwen_magic.session.plan import Ask
from qwen_magic.session.session import Session

KEY = "sk-of-the-test-1234567890"


class Server:
    """Model Studio's catalogue with `count` models, a hundred to a page."""

    def __init__(self):
        self.asked = []
        self.headers = []
        self.count = 3
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                outer.headers.append(dict(self.headers))
                body = json.dumps(outer.page(self.path)).encode()
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._http.server_port}/compatible-mode/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def page(self, path):
        if self.status != 200:
            return {"code": "InvalidApiKey", "message": f"Bad {KEY}", "request_id": "r"}
        number = int(parse_qs(urlsplit(path).query)["page_no"][0])
        names = ["qwen3-max", *(f"other-{n}" for n in range(1, self.count))]
        row = {"price": "2", "price_unit": "per million tokens"}
        prices = [{**row, "type": "input_token"}, {**row, "type": "output_token", "price": "8"}]
        models = [
            {"model": name, "model_info": {"context_window": 1000},
             "prices": [{"range_name": "Default", "prices": prices}]}
            for name in names[100 * number - 100 : 100 * number]
        ]  # fmt: skip
        return {"output": {"total": self.count, "models": models}}

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


@pytest.fixture
def endpoint(server):
    return Endpoint("x", server.base_url, DASHSCOPE, "DASHSCOPE_API_KEY", KEY)


def ask_of(endpoint, model="qwen3-max"):
    return Ask(prompt="Hi", input="Hi", model=model, endpoint=endpoint, chat="main")


def turn(key, endpoint, usage=None, model="qwen3-max"):
    usage = usage or Usage(1_000_000, 0, 1_000_000)
    return Turn(key, "main", "completed", None, f"resp_{key}", text="x", model=model,
                host=endpoint.host, usage=usage)  # fmt: skip


def test_it_is_asked_for_once_a_week(server, session, endpoint):
    now = [1_000.0]
    catalogues = Catalogues(session.conversations, clock=lambda: now[0])
    assert catalogues.known(endpoint.host) is None
    assert server.asked == []
    assert len(catalogues.ask(session.client, endpoint).models) == 3
    assert server.asked == ["/api/v1/models?page_no=1&page_size=100"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    now[0] += WEEK - 1
    catalogues.ask(session.client, endpoint)
    later = Catalogues(session.conversations, clock=lambda: now[0])  # another notebook
    assert later.ask(session.client, endpoint).find("qwen3-max").window == 1000
    assert len(server.asked) == 1
    now[0] += 2
    assert later.ask(session.client, endpoint).at == now[0]
    assert len(server.asked) == 2


def test_all_pages(server, session, endpoint):
    server.count = 201
    assert len(session.catalogues.ask(session.client, endpoint).models) == 201
    assert [path.partition("&")[0][-1] for path in server.asked] == ["1", "2", "3"]


def test_a_refusal_is_one_error_and_nothing_is_kept(server, session, endpoint):
    server.status = 401
    with pytest.raises(AuthenticationError) as raised:
        session.catalogues.ask(session.client, endpoint)
    assert KEY not in str(raised.value)
    assert session.catalogues.known(endpoint.host) is None


def test_an_empty_list_is_said(server, session, endpoint):
    server.page = lambda path: {"output": {"total": 0, "models": []}}
    with pytest.raises(UsageError, match="lists no models"):
        session.catalogues.ask(session.client, endpoint)


def test_planning_asks_nothing_and_tells_the_price_that_is_known(server, session, endpoint):
    assert session.plan(ask_of(endpoint)).priced is None
    assert server.asked == []
    session.catalogues.ask(session.client, endpoint)
    price = dry_run_of(session.plan(ask_of(endpoint))).price
    assert price == Price(token=2e-6, answer=8.0, currency="USD")
    assert dry_run_of(session.plan(ask_of(endpoint, "elsewhere"))).price is None
    assert len(server.asked) == 1


def test_what_the_server_joins_before_a_turn_is_in_its_price(server, session, endpoint):
    session.catalogues.ask(session.client, endpoint)
    session.conversations.append(turn("a", endpoint))
    made = session.plan(ask_of(endpoint))
    assert made.request.previous_response_id == "resp_a"
    dry = dry_run_of(made)
    assert dry.table()[1][-1][-1] == "2.00"
    assert dry.headers == {"x-dashscope-session-cache": "enable"}
    session.session_cache = False
    assert dry_run_of(session.plan(ask_of(endpoint))).headers == {}


def test_the_session_cache_is_for_hosts_that_read_it(session, endpoint):
    elsewhere = replace(endpoint, capabilities=replace(DASHSCOPE, session_cache=False))
    session.conversations.append(turn("a", endpoint))
    assert session.plan(ask_of(elsewhere)).request.headers() == {}
    assert session.plan(ask_of(endpoint)).request.headers()


def test_what_turns_cost(server, session, endpoint):
    beijing = replace(endpoint, capabilities=DASHSCOPE_BEIJING)
    assert session.spending.price_of(turn("a", endpoint)) is None
    session.catalogues.ask(session.client, beijing)
    assert session.spending.price_of(turn("a", endpoint)) == Money(2.0, "CNY")
    assert session.spending.price_of(turn("b", endpoint, model="elsewhere")) is None
    assert session.spending.price_of(replace(turn("c", endpoint), usage=None)) is None


def test_a_budget_in_money(server, session, endpoint):
    session.spending.budget = Money(2.4, "USD")
    with pytest.raises(UsageError, match=r"prices of qwen3-max at .* not known") as raised:
        session.plan(ask_of(endpoint))
    assert "%qwen_models asks for them" in raised.value.hint
    session.catalogues.ask(session.client, endpoint)
    assert session.plan(ask_of(endpoint)).notes == ()
    session.conversations.append(turn("a", endpoint))
    (warning,) = session.plan(ask_of(endpoint)).notes
    assert warning.startswith("83 % of the budget is used (2.00 of 2.40\u00a0USD)")
    session.spending.budget = Money(2.0, "USD")
    with pytest.raises(UsageError, match=r"budget is used up: 2\.00 of 2\.00"):
        session.plan(ask_of(endpoint))


def test_a_budget_in_money_counts_the_running_turn(server, session, endpoint):
    session.catalogues.ask(session.client, endpoint)
    session.spending.budget = Money(2.0, "USD")
    ask = ask_of(endpoint)
    assert session.spending.state(ask, Usage(500_000, 0, 500_000)).level == "ok"
    assert session.spending.state(ask, Usage(0, 250_000, 250_000)).level == "refused"


def test_a_budget_of_nothing_is_none(server, session, endpoint):
    session.spending.budget = Money(0.0, "USD")
    assert session.plan(ask_of(endpoint)).notes == ()


def test_a_budget_in_another_currency_is_refused(server, session, endpoint):
    session.catalogues.ask(session.client, replace(endpoint, capabilities=DASHSCOPE_BEIJING))
    session.spending.budget = Money(2.0, "USD")
    with pytest.raises(UsageError, match=r"budget is in USD, and .* bills in CNY") as raised:
        session.plan(ask_of(endpoint))
    assert "'N CNY'" in raised.value.hint


def test_a_budget_in_money_where_no_prices_are(session, endpoint):
    session.spending.budget = Money(2.0, "USD")
    with pytest.raises(UsageError, match="not known") as raised:
        session.plan(ask_of(replace(endpoint, capabilities=TOKEN_PLAN)))
    assert "%qwen_models" not in raised.value.hint
