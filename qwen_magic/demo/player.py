"""Answer one request to `/responses`, from its body to the stored response.

Invalid requests are refused in the service's own words; `request.yaml` has the rules.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from qwen_magic.demo.answering import answer
from qwen_magic.demo.http import ClientGoneError, Connection, RefusedError
from qwen_magic.demo.lesson import read_lessons
from qwen_magic.demo.response_writer import ResponseWriter, StrikeError
from qwen_magic.demo.runner import Run, Runner
from qwen_magic.demo.turn import (
    FAULTS,
    AskedTurn,
    Kept,
    SwitchError,
    Switches,
    newest_prompt,
    prompt_switches,
)
from qwen_magic.demo.wire import JSON, EventWriter, Response, to_json, usage

FIGURE_PATH = "/code-interpreter/temp_files/"
FIGURE_SECONDS = 12 * 3600  # as long as the service's links live
_BREAKS = ("cut", "reset-mid", "silence-mid")  # faults that lose the client in mid-stream
MOST_KEPT = 1000  # responses, and figures: the oldest go first


class Player:
    """Answers requests; `switches` are the server's own, and may be changed while it runs.

    `figures`: PNG, by path. `figure_host`: what their links begin with.
    """

    def __init__(
        self,
        lessons: Sequence[Path],
        switches: Switches,
        runner: Runner,
        figure_host: str,
        signs: bool,
    ) -> None:
        self.responses: dict[str, Kept] = {}
        self.figures: dict[str, bytes] = {}
        self.figure_host = figure_host
        self.switches = switches
        self.signs = signs
        self._lessons = lessons
        self._runner = runner
        self.failures: Counter[str] = Counter()  # by prompt

    def play(self, client: Connection, body: JSON) -> None:
        """Raises `RefusedError`, `ClientGoneError`, `LessonError`."""
        turn = self._read(body)
        client.record.context = turn.context
        write, client.record.lesson = answer(turn, read_lessons(self._lessons), self.signs)
        fault = self._fault(turn)
        if fault and FAULTS[fault].kind != "stream":
            _fail(client, turn, fault)
            return
        response = Response(f"resp_{uuid4()}", int(time.time()), body)
        client.record.response_id = response.id

        def strike(unsaid: str = "") -> None:
            if fault not in _BREAKS:
                writer.unsaid = unsaid
                raise StrikeError
            if not writer.broken:
                self._store(turn, response)
                writer.broken = True
                _break(client, fault)

        strike_after = turn.switches.after if fault else None
        writer = ResponseWriter(response, turn, client, self._run, strike, strike_after)
        if turn.streams:
            client.open_stream()
        writer.tell("created")
        response.status = "in_progress"
        writer.tell("in_progress")
        try:
            write(writer)
            if fault:
                strike()  # the answer was shorter than that
            response.status = "incomplete" if writer.unsaid else "completed"
            writer.end(response.status)
        except StrikeError:
            _strike(writer, response, fault)
        response.usage = usage(turn.context, response.output, writer.tools)
        if turn.previous is not None and turn.switches.chain != "unnamed":
            response.previous_response_id = turn.previous.body["id"]
        self._store(turn, response, writer.unsaid)
        if writer.broken:
            raise ClientGoneError
        if turn.streams:
            writer.tell("completed" if fault == "incomplete-inside" else response.status)
            client.end_stream()
        else:
            client.reply(response.as_json())

    def _store(self, turn: AskedTurn, response: Response, unsaid: str = "") -> None:
        """Store the response for `GET` and for later turns, if the request asked for it."""
        stores = turn.body.get("store") is not False and turn.switches.chain != "ignores"
        if stores and response.status != "failed":
            kept = Kept(response.as_json(), turn.items, turn.previous, unsaid)
            _keep(self.responses, response.id, kept)

    def _read(self, body: JSON) -> AskedTurn:
        check_request(body)
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        try:
            switches = self.switches.changed(prompt_switches(newest_prompt(items)))
        except SwitchError as error:
            raise RefusedError(str(error)) from error
        turn = AskedTurn(body, items, self._previous(body, switches), switches)
        check_outputs(turn.context)
        return turn

    def _previous(self, body: JSON, switches: Switches) -> Kept | None:
        """The response that is continued; None for a new conversation. Raises `RefusedError`.

        `keeps`: as DashScope. `forgets`: the same, but an id whose chain has `forget_after` turns
        is unknown. `refuses`: 400, as llama.cpp. `ignores`: nothing made of it, and nothing kept,
        as Ollama. `unnamed`: as `keeps`, but no answer names the one before it, as llama-stack.
        """
        id = body.get("previous_response_id")
        if not id or switches.chain == "ignores":
            return None
        if switches.chain == "refuses":
            message = "llama.cpp does not support 'previous_response_id'."
            raise RefusedError(message, "invalid_request_error", nested=True)
        kept = self.responses.get(id)
        forgets = switches.chain == "forgets"
        if kept is None or (forgets and len(kept.chain()) >= switches.forget_after):
            raise RefusedError(f"Not found previous_response_id: {id}")
        return kept

    def _fault(self, turn: AskedTurn) -> str:
        """The fault that is due for this request; empty for none."""
        if turn.switches.error and turn.switches.fail_first:
            prompt = newest_prompt(turn.items)
            self.failures[prompt] += 1
            if self.failures[prompt] > turn.switches.fail_first:
                return ""
        return turn.switches.error

    def _run(self, code: str, given: Mapping[str, Any], look: Callable[[], None]) -> Run:
        """Run the code, and link its figures in the logs. `look` is called meanwhile."""
        run = self._runner.run(code, given, look)
        blocks = [run.logs] if run.logs else []
        for number, png in enumerate(run.figures, 1):
            path = f"{FIGURE_PATH}code-output-{uuid4()}.png"
            expires = int(time.time()) + FIGURE_SECONDS
            _keep(self.figures, path, png)
            blocks.append(f"![fig-{number:03}]({self.figure_host}{path}?Expires={expires})")
        return replace(run, logs="\n\n".join(blocks))


def _keep(kept: dict[str, Any], key: str, value: object) -> None:
    kept[key] = value
    while len(kept) > MOST_KEPT:
        kept.pop(next(iter(kept)), None)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    rules = yaml.safe_load(Path(__file__).with_name("request.yaml").read_text("utf-8"))
    return Draft202012Validator(rules)


def check_request(body: JSON) -> None:
    """Raise `RefusedError` for the first fault of the request."""
    sent = {name: value for name, value in body.items() if value not in (None, "", [])}
    for error in sorted(_validator().iter_errors(sent), key=lambda each: len(each.absolute_path)):
        path = list(error.absolute_path)
        if error.validator == "required":
            path.append(next(name for name in error.validator_value if name not in error.instance))
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        raise RefusedError(error.schema["message"].format(error.instance, place.lstrip(".")))


def check_outputs(context: list[JSON]) -> None:
    """Raise `RefusedError` for a function output that does not follow its call."""
    calls: set[Any] = set()
    for item in context:
        id = item.get("call_id")
        if item.get("type") == "function_call":
            calls.add(id)
        elif item.get("type") == "function_call_output" and id not in calls:
            raise RefusedError(f"No tool call found for function call output: {id}")


# Faults, on request.


def _fail(client: Connection, turn: AskedTurn, name: str) -> None:
    """Answer with the fault in place of a response. Raises `ClientGoneError`, `RefusedError`."""
    fault = FAULTS[name]
    error = {"code": fault.code, "message": fault.message}
    match fault.kind:
        case "http":
            asked = turn.switches.retry_after
            seconds = fault.retry_after if asked < 0 else asked
            headers = {} if seconds is None else {"retry_after": f"{seconds:g}"}
            raise RefusedError(fault.message, fault.code, fault.status, headers=headers)
        case "body":
            headers = {"location": "https://elsewhere.invalid/"} if name == "redirect" else {}
            headers["content_type"] = fault.content_type
            client.reply(fault.message.encode(), fault.status, **headers)
        case "failed":  # HTTP 200 all the same
            response = Response(f"resp_{uuid4()}", int(time.time()), {}, "failed", error=error)
            failed = response.as_json("agent")
            if turn.streams:
                client.stream(EventWriter(agent=True).event("failed", response=failed))
            else:
                client.reply(failed)
        case "event" if name == "error-event":
            told = {"type": "error", **error, "param": None, "sequence_number": 0}
            client.stream(b"event:error\ndata:" + to_json(told) + b"\n\n")
        case "event":
            client.stream(b"data: " + to_json({"error": error}) + b"\n\n")
        case "transport" if name == "reset":
            client.reset()
        case _:
            client.pause()


def _break(client: Connection, name: str) -> None:
    """Lose the client. What it would have read is written to its end all the same, and kept, as the
    service does: the client may ask for it by its id."""
    with suppress(ClientGoneError):
        if name == "silence-mid":
            client.pause()
        elif name == "reset-mid" or not client.record.events:
            client.reset()
        client.end_stream()
        client.end()


def _strike(writer: ResponseWriter, response: Response, name: str) -> None:
    """The end that another fault in mid-stream makes of it."""
    if name.startswith("incomplete"):
        response.status = "incomplete"
        writer.end("incomplete")
    else:
        response.status = "failed"
        response.error = {"message": FAULTS[name].message, "code": FAULTS[name].code}
