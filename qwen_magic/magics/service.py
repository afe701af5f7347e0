"""Models, tools, keys, usage, the demo and local servers: `%qwen_models`, `%qwen_tools`,
`%qwen_key`, `%qwen_usage`, `%qwen_demo`, `%qwen_local`, `%qwen_doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from IPython.core.magic import magics_class

from qwen_magic.conversation.usage import local_day
from qwen_magic.document.words import plural
from qwen_magic.endpoints import DEFAULT_MODEL, DEMO, LOCAL, default_endpoint_name
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.frontends.plain import say
from qwen_magic.magics.base import SessionMagics, command
from qwen_magic.magics.qwen import QwenMagics
from qwen_magic.masking import Secret

if TYPE_CHECKING:
    from qwen_magic.context.catalogue import CataloguedModel
    from qwen_magic.conversation.usage import Budget, UsageGroup, UsageRow, UsageTable
    from qwen_magic.endpoints import Endpoint
    from qwen_magic.local import LocalServer

_GROUPS: Final[Mapping[str, UsageGroup]] = {
    "": "model",
    "model": "model",
    "conversation": "conversation",
    "day": "day",
}


_SLOW: Final = 8.0  # tokens a second; people read about five words a second
_MB: Final = 1_000_000


@magics_class
class ServiceMagics(SessionMagics):
    """What can be asked, with which key and at what cost; the servers of this machine."""

    def __init__(self, shell: Any, magics: QwenMagics) -> None:
        super().__init__(shell, magics)
        self._namespace: dict[str, Any] = shell.user_ns
        self._before_demo = ""  # the endpoint that the demo took the place of
        self._before_local: tuple[str, str] | None = None  # and that a local model did; its model

    @command
    def qwen_models(self, line: str) -> None:
        """List the models of the endpoint in use: %qwen_models.

        Of Model Studio its own list, with windows and prices (without a key, the known names); of
        any other server those that it lists itself. Any other name goes through too: -m NAME."""
        from qwen_magic.context.models import KNOWN_MODELS

        _no_words("qwen_models", line)
        endpoint = self._asker.session.endpoints.find(self._magics.endpoint)
        note = "Known in November 2026 on DashScope; any other name is sent as it is."
        if endpoint.capabilities.catalogue and (endpoint.key or not endpoint.needs_key):
            try:
                self._show_catalogue(endpoint)
                return
            except QwenError as error:
                note = f"{error.message} {note}"
        elif not endpoint.capabilities.has_known_models:
            names = self._asker.list_models(self._magics.endpoint)
            self._asker.views.show_table(
                ["model"], [[name] for name in names], f"Listed by {endpoint.server} itself."
            )
            return
        rows = [[model.name, "yes" if model.vision else "", model.note] for model in KNOWN_MODELS]
        self._asker.views.show_table(["model", "images", "note"], rows, note)

    def _show_catalogue(self, endpoint: Endpoint) -> None:
        """Show the host's own list of models. Raises `QwenError`."""
        from qwen_magic.context.models import KNOWN_MODELS

        session = self._asker.session
        listed = session.catalogues.ask(session.client, endpoint)
        self._asker.listed_models[self._magics.endpoint] = list(listed.models)  # for Tab
        known = {model.name: model for model in KNOWN_MODELS}
        rows = []
        for model in listed.models.values():
            about = known.get(model.name)
            prices = [_prices(model, row) for row in ("input_token", "output_token")]
            window = f"{model.window:,}" if model.window else ""
            images = "yes" if about and about.vision else ""
            rows.append([model.name, images, window, *prices, about.note if about else ""])
        self._asker.views.show_table(
            ["model", "images", "window", "input", "output", "note"],
            rows,
            f"As {endpoint.server} lists them, asked on {local_day()(listed.at)}; prices for a "
            "million tokens, from the smallest requests to the largest.",
        )

    @command
    def qwen_tools(self, line: str) -> None:
        """List the tools that -t takes: built-in ones, functions marked with @tool, variables that
        hold tool dicts, and the MCP servers of mcp.json with their state. `%qwen_tools --forget`:
        ask about every function and server again."""
        from qwen_magic.tools.selection import BUILT_IN, tool_variables

        if "forget" in _no_words("qwen_tools", line):
            session = self._asker.session
            count = session.tool_policy.forget() + session.servers.forget()
            say(f"Forgotten: {count} standing {plural(count, 'answer')} about functions.")
            return
        rows = [[t.name, t.summary, t.requires, t.cost] for t in BUILT_IN]
        rows += [_own_tool(name, self._namespace[name]) for name in tool_variables(self._namespace)]
        for name, about, state in self._asker.session.servers.states():
            rows.append(
                [name, f"{state}: {about}", "your approval to start it, and of each call", ""]
            )
        self._asker.views.show_table(["tool", "what it does", "needs", "cost"], rows)

    @command
    def qwen_key(self, line: str) -> None:
        """Ask for the API key of the endpoint in use, without showing it: %qwen_key [--save].

        It is kept in this kernel only; `--save` keeps it in the system's keyring (an empty one
        takes it out)."""
        from qwen_magic.frontends.terminal import ask_value

        if line.strip() not in ("", "--save"):
            raise UsageError(
                "%qwen_key takes no key on its line, where the notebook and the history keep it.",
                hint="Type %qwen_key alone: it asks. What was typed here is best made anew.",
            )
        saves = bool(line.strip())
        endpoints = self._asker.session.endpoints
        if self._magics.endpoint == DEMO:
            say("The offline demo needs no key.")
            return
        endpoints.check_key_may_go(self._magics.endpoint)
        endpoint = endpoints.find(self._magics.endpoint)
        typed = ask_value(f"API key for {endpoint.host}", True)
        if typed is None:
            hint = f"Or set {endpoint.key_variable}." if endpoint.key_variable else ""
            raise UsageError("No key was typed.", hint=hint)
        key = Secret(typed)
        if saves:
            endpoints.save_key(endpoint, key)
        endpoints.remember_key(endpoint, key)
        kept = "in the system's keyring" if saves else "for this kernel only"
        said = f"set, {kept}" if key else "nothing was typed; none is set"
        say(f"Key for {endpoint.host}: {said}.")

    @command
    def qwen_usage(self, line: str) -> None:
        """Tokens, tool calls and money of this notebook's turns: %qwen_usage
        [model|conversation|day]. Money is told where %qwen_models has found a price."""
        from qwen_magic.conversation.usage import usage_table

        group = _GROUPS.get(line.strip())
        if group is None:
            raise UsageError(f"%qwen_usage takes model, conversation or day, not {line.strip()!r}.")
        session = self._asker.session
        turns = map(session.as_used, self._conversations.turns())
        table = usage_table(turns, group, day_of=local_day(), price_of=session.spending.price_of)
        rows = [_usage_row(row) for row in (*table.rows, table.total)]
        header = [group, "turns", "input", "cached", "output", "reasoning", "total", "tool calls"]
        notes = [table.total.note, _budget(table.total, session.spending.budget)]
        if table.total.costs:
            header.append("about")
            rows = [[*row, *cost] for row, cost in zip(rows, _costs(table), strict=True)]
            notes.append("money is for tokens alone, by the price lists of the hosts")
        self._asker.views.show_table(header, rows, "; ".join(note for note in notes if note))

    @command
    def qwen_demo(self, line: str) -> None:
        """The offline demo server as endpoint: %qwen_demo on | off | auto.

        `auto` is on unless an API key is set. Without a word it says which is the case.
        """
        match line.strip():
            case "on":
                self._demo_on()
            case "off":
                self._demo_off()
            case "auto":
                self._demo_auto()
            case "":
                pass
            case word:
                raise UsageError(f"%qwen_demo takes on, off or auto, not {word!r}.")
        say(self._demo_state())

    @command
    def qwen_local(self, line: str) -> None:
        """A model of this machine as endpoint: %qwen_local FILE.gguf | qwen | off [--threads N].

        `qwen` fetches a small Qwen (0.5B, about 490 MB) from a model hub, the first time, and
        checks its sum. Without a word it says which model is served.
        """
        from qwen_magic.magics.line import read_words

        words, options = read_words("qwen_local", line, "FILE.gguf, qwen or off", most=1)
        word = words[0] if words else ""
        match word:
            case "":
                pass
            case "off":
                self._serve_no_more()
            case "qwen":
                self._serve(self._fetched_weights(), options.get("threads", 1))
            case _:
                self._serve(Path(os.path.expanduser(word)).absolute(), options.get("threads", 1))
        say(self._local_state())

    @command
    def qwen_doctor(self, line: str) -> None:
        """Look at everything that an answer needs: %qwen_doctor [--endpoint URL] [-m NAME].

        One tiny question is asked; a server that is not known, or is named by `--endpoint`, is
        tried out with a few more, and its row printed."""
        from qwen_magic.magics.doctor import examine

        given = _no_words("qwen_doctor", line)
        url, model = str(given.get("endpoint", "")), str(given.get("model", ""))
        for finding in examine(self._asker, url, model):
            say(finding)

    def _demo_on(self) -> None:
        if self._magics.endpoint != DEMO:
            self._asker.session.endpoints.find(DEMO)  # starts the server
            self._before_demo = self._magics.endpoint
            self._magics.endpoint = DEMO

    def _demo_off(self) -> None:
        if self._magics.endpoint == DEMO:
            self._magics.endpoint = self._before_demo or default_endpoint_name()

    def _demo_auto(self) -> None:
        """Turn the demo off if a key is set, else on."""
        if self._magics.endpoint == DEMO:
            return
        endpoint = self._asker.session.endpoints.find(self._magics.endpoint, live=True)
        if endpoint.needs_key and not endpoint.key:
            self._demo_on()

    def _demo_state(self) -> str:
        if self._asker.session.tape.is_replaying:
            who = "the offline demo" if self._magics.endpoint == DEMO else self._magics.endpoint
            return f"{self._asker.session.tape.describe()} After %qwen_replay off: from {who}."
        if self._magics.endpoint != DEMO:
            return f"The offline demo is off: questions go to {self._magics.endpoint}."
        url = self._asker.session.endpoints.find(DEMO).base_url
        return f"The offline demo is on: a small server inside this kernel answers, at {url}."

    def _serve(self, weights: Path, threads: Any) -> None:
        server = self._asker.session.endpoints.start_local(weights, threads)
        settings = cast("Any", self._magics)  # its traits are made of the table of options
        if self._before_local is None:
            self._before_local = settings.endpoint, settings.model
        settings.endpoint, settings.model = LOCAL, server.model

    def _serve_no_more(self) -> None:
        self._asker.session.endpoints.stop_local()
        before = self._before_local or (default_endpoint_name(), DEFAULT_MODEL)
        self._before_local, settings = None, cast("Any", self._magics)
        if settings.endpoint == LOCAL:
            settings.endpoint, settings.model = before

    def _fetched_weights(self) -> Path:
        from qwen_magic.local import fetch_weights, hubs
        from qwen_magic.session.endpoint_keys import local_weights

        folder = local_weights(os.environ).parent
        shown = _Bar()
        path = fetch_weights(self._asker.session.client, folder, hubs(os.environ), shown)
        if shown.begun:
            say(f"\nKept as {path}; its sha256 is the one that the hub says.")
        return path

    def _local_state(self) -> str:
        server = self._asker.session.endpoints.local
        if server is None:
            return "No local model is served. %qwen_local FILE.gguf, or %qwen_local qwen, begins."
        return local_state(server, os.cpu_count() or 1)


def _own_tool(name: str, value: object) -> list[str]:
    """A row for a variable that `-t` accepts."""
    from qwen_magic.tools.definition import FunctionTool, is_tool

    if not is_tool(value):
        return [name, "in this notebook", "", ""]
    about = FunctionTool.of(value, name).description.partition("\n")[0]
    return [name, about or "a function of this notebook", "your approval of each call", ""]


def _usage_row(row: UsageRow) -> list[str]:
    spent = row.usage
    taken = (spent.input_tokens, spent.cached_tokens)
    given = (spent.output_tokens, spent.reasoning_tokens, spent.total_tokens)
    calls = ", ".join(f"{count} {name}" for name, count in spent.tools.items())
    return [row.label, *(f"{number:,}" for number in (row.turns, *taken, *given)), calls]


def _prices(model: CataloguedModel, row: str) -> str:
    """The lowest and highest price of a model, such as "0.80–2.40 CNY"."""
    from qwen_magic.document.words import money

    modes = [
        tier.price(row, thinking=thinking) for tier in model.tiers for thinking in (False, True)
    ]
    found = sorted({price for price in modes if price is not None})
    if not found:
        return ""
    most = money(found[-1], model.currency)
    return most if len(found) == 1 else f"{money(found[0], '').strip()}–{most}"


def _costs(table: UsageTable) -> list[list[str]]:
    return [[" + ".join(map(str, row.costs))] for row in (*table.rows, table.total)]


def _budget(total: UsageRow, budget: Budget) -> str:
    from qwen_magic.conversation.usage import check_budget

    if isinstance(budget, int):
        state = check_budget(total.usage.total_tokens, budget)
    else:
        spent = {cost.currency: cost.amount for cost in total.costs}
        state = check_budget(spent.get(budget.currency, 0.0), *budget)
    if state.level == "ok" and state.budget:
        used, _, whole = state.share.partition(" of ")
        unit = "" if state.currency else " tokens"
        return f"{used} of the budget's {whole}{unit} are used"
    return state.warning or (state.error.message if state.error else "")


def _no_words(magic: str, line: str) -> dict[str, object]:
    """Parse a line that has options only. Raises `UsageError`."""
    from qwen_magic.magics.line import read_words

    return read_words(magic, line)[1]


class _Bar:
    """The progress of a download, on one line that is overwritten."""

    def __init__(self) -> None:
        self.begun = False

    def __call__(self, size: int, done: int) -> None:
        self.begun = True
        filled = 30 * done // size
        bar = "█" * filled + "·" * (30 - filled)
        print(f"\r{bar} {done // _MB} of {size // _MB} MB", end="", flush=True)  # noqa: T201


def local_state(server: LocalServer, cores: int) -> str:
    """Which model is served and how fast; if it is slow, what may help."""
    threads = "1 thread" if server.threads == 1 else f"{server.threads} threads"
    speed = server.tokens_per_second
    said = (
        f"{server.model} answers on this machine, with {threads}: about {speed:.2g} tokens a second"
    )
    if speed >= _SLOW:
        return f"{said}."
    more = (
        f" --threads {cores} would use all of this machine's cores."
        if (server.threads < cores)
        else " A smaller model would be faster."
    )
    return f"{said}, which is slow.{more}"
