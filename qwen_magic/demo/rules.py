"""What the demo does without a lesson: remember a name, call functions, summarize the
conversation.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TypeAlias
from uuid import uuid4

from qwen_magic.demo.lesson import as_json
from qwen_magic.demo.matching import normalised
from qwen_magic.demo.response_writer import ResponseWriter
from qwen_magic.demo.runner import fenced
from qwen_magic.demo.turn import AskedTurn, FunctionResult
from qwen_magic.demo.wire import JSON, read_json

# A name. Questions after it are lessons (`my_name.md`), with the name as a value.

_WORD = r"[^\s.,;:?!…。！？，、]+"
_TOLD = re.compile(
    r"\s*(?:(?:hi|hello|hey|你好)[\s,.!，。！]+)?"
    r"(?:my name is|my name['’]s|i am called|i['’]m called|我叫|我的名字[是叫])\s*"
    rf"(?!什么)(?P<name>(?:\w\.\s*)*{_WORD}(?:\s+(?:\w\.|{_WORD})){{0,4}})[\s.!。！]*",
    re.IGNORECASE,
)
_NO_NAME = re.compile(r"\b(?:and|but|not|i|so|because|what|it)\b", re.IGNORECASE)
_SUMMED_UP = re.compile(r"^The user's name is (.+)\.$", re.MULTILINE)


def told_name(prompt: str) -> str:
    """The name, if the whole prompt only tells one; else empty."""
    match = _TOLD.fullmatch(prompt[:200])
    return match["name"].strip() if match and not _NO_NAME.search(match["name"]) else ""


def known_name(turn: AskedTurn) -> str:
    """The name told last in the conversation so far."""
    for prompt, answer in reversed(turn.earlier):
        for sentence in (prompt, *re.split(r"[.!?。！？\n]+", prompt[:2000])):
            if name := told_name(sentence):
                return name
        if summed_up := _SUMMED_UP.search(answer):
            return summed_up[1]
    return ""


def answer_name(turn: AskedTurn, writer: ResponseWriter) -> str | None:
    """Reply to a name that was told; None for another prompt."""
    name = told_name(turn.prompt)
    if not name:
        return None
    writer.think("The user tells me a name. I keep it in mind: the chain carries it on.")
    return (
        f"Hello, {name}! Nice to meet you. I will remember your name as long as this conversation "
        "goes on."
    )


# Function calls.

Round: TypeAlias = list[tuple[str, JSON]]

_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n.*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"\bcall(?:ing)?\s+`?(?P<name>[^\W\d]\w*)\(", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w.])(?P<name>[^\W\d]\w*)\(")
_MOST_READ = 20_000
_MOST_CLOSED = 100  # parentheses of one call


def answer_call(turn: AskedTurn, writer: ResponseWriter) -> str | None:
    """`call NAME(…)`: what the calls gave; empty where those of the next round were made; None for
    another prompt."""
    text = _FENCED.sub("", turn.prompt[:_MOST_READ])
    asked = _CALL.search(text)
    if asked is None:
        return None
    if asked["name"] not in turn.tools and not turn.results:
        return needed([asked["name"]])
    rounds = _rounds(text[asked.start("name") :], turn.functions)
    done = len(turn.results)
    for calls in rounds:
        if done < len(calls):
            return call(calls, writer)
        done -= len(calls)
    if rounds and "again and again" in text:
        return call(rounds[-1], writer)
    if turn.results:
        writer.think("The function calls are done. I tell the user what they gave back.")
        return results_text(turn.results)
    return (
        f"I cannot read the arguments of `{asked['name']}`: write them as in Python, with numbers, "
        'texts in quotes, lists and objects, such as `call NAME(a=1, b="x")`.'
    )


def call(calls: Round, writer: ResponseWriter) -> str:
    """Make the calls. Text follows when their results are there."""
    writer.think(f"I call {', '.join(name for name, _ in calls)}.")
    for name, arguments in calls:
        begun = {"name": name, "call_id": f"call_{uuid4().hex[:24]}"}
        written = json.dumps(arguments, ensure_ascii=False)
        writer.use_tool("function_call", begun, {"arguments": written})
    return ""


def results_text(results: tuple[FunctionResult, ...]) -> str:
    """The results of the calls, unchanged."""
    told = []
    for result in results:
        text, given = result.output, read_json(result.arguments)
        if len(text) > 2000:
            text = f"{text[:2000]}\n… ({len(text)} characters)"
        written = result.arguments
        if isinstance(given, dict):
            written = ", ".join(f"{name}={as_json(value)}" for name, value in given.items())
        verb = "failed" if text.startswith("Error:") else "gave"
        told.append(f"`{result.name}({written})` {verb}:\n\n{fenced(text)}")
    return "\n\n".join(told)


def _rounds(text: str, functions: Mapping[str, tuple[str, ...]]) -> list[Round]:
    """The calls that the text names; "then" between two begins another round. In a round a function
    is called once for each different list of arguments."""
    rounds: list[Round] = []
    closed = 0
    for mention in _MENTION.finditer(text):
        if mention.start() < closed or mention["name"] not in functions:
            continue  # among the arguments of the one before, or not offered
        length, arguments = read_call(text[mention.start() :], functions[mention["name"]])
        if arguments is None:
            continue
        if not rounds or re.search(r"\bthen\b", text[closed : mention.start()], re.IGNORECASE):
            rounds.append([])
        call = (mention["name"], arguments)
        rounds[-1] += [call] if call not in rounds[-1] else []
        closed = mention.start() + length
    return rounds


def read_call(text: str, parameters: tuple[str, ...]) -> tuple[int, JSON | None]:
    """(where it ends, the arguments) of the call that the text begins with: Python's literals; one
    object alone is all of them. None where they are something else."""
    for close in islice(re.finditer(r"\)", text), _MOST_CLOSED):
        try:
            call = ast.parse(text[: close.end()], mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue  # this parenthesis stands in a text or closes an inner one
        assert isinstance(call, ast.Call)
        try:
            values = [ast.literal_eval(node) for node in call.args]
            named = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        except (ValueError, TypeError):
            break
        if len(values) == 1 and isinstance(values[0], dict) and not named:
            return close.end(), values[0]
        if len(values) > len(parameters) or any(word.arg is None for word in call.keywords):
            break
        return close.end(), {**dict(zip(parameters, values, strict=False)), **named}
    return 0, None


# The conversation, summed up.

_SUM_UP = re.compile(
    r"(?:summari[sz]e|sum up) (?:our|this|the) (?:conversation|chat)(?: so far)?"
    r"(?: so that it can go on from the summary alone .*)?"
)
_MOST_TOLD = 600  # characters of an answer


def answer_summary(turn: AskedTurn, writer: ResponseWriter) -> str | None:
    """List what was asked and answered, for a request to summarize; None for another prompt."""
    if not _SUM_UP.fullmatch(" ".join(normalised(turn.prompt))):
        return None
    writer.think("I list what was asked and what was answered.")
    return "\n".join(_summary_lines(turn))


def _summary_lines(turn: AskedTurn) -> Iterator[str]:
    if not turn.earlier:
        yield "Nothing has been asked in this conversation before."
        return
    yield "What was asked and answered so far:\n"
    for number, (prompt, answer) in enumerate(turn.earlier, 1):
        yield f"{number}. Asked: {_short(prompt)}"
        yield f"   Answered: {_short(answer)}"
    if name := known_name(turn):
        yield f"\nThe user's name is {name}."


def _short(text: str) -> str:
    line = " ".join(re.sub(r"\*\(Offline demo: .*?\)\*", "", text).split())
    return f"{line[:_MOST_TOLD]} …" if len(line) > _MOST_TOLD else line or "(nothing)"


def needed(needs: list[str]) -> str:
    """A sentence about the tools that the request lacks."""
    tools = ",".join(need for need in needs if need != "image")
    options = [f"`-t {tools}`"] * bool(tools) + ["`-i FILE`"] * ("image" in needs)
    things = " and ".join("a picture" if need == "image" else f"`{need}`" for need in needs)
    return (
        f"For this the offline demo needs {things}, which this request does not offer: add "
        f"{' '.join(options)}, and ask again."
    )
