"""What the demo does without a lesson: it remembers a name, calls functions that a prompt names,
and sums the conversation up."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TypeAlias

from qwen_magic.demo.response_writer import Call, Say, Steps, Think
from qwen_magic.demo.runner import fenced
from qwen_magic.demo.turn import CallResult, Turn, read_json
from qwen_magic.demo.wire import JSON
from qwen_magic.demo.words import normalised

# A name.

_WORD = r"[^\s.,;:?!…。！？，、]+"
_TOLD = re.compile(
    r"\s*(?:(?:hi|hello|hey|你好)[\s,.!，。！]+)?"
    r"(?:my name is|my name['’]s|i am called|i['’]m called|我叫|我的名字[是叫])\s*"
    rf"(?!什么)(?P<name>(?:\w\.\s*)*{_WORD}(?:\s+(?:\w\.|{_WORD})){{0,4}})[\s.!。！]*",
    re.IGNORECASE,
)
_NO_NAME = re.compile(r"\b(?:and|but|not|i|so|because|what|it)\b", re.IGNORECASE)
_SUMMED_UP = re.compile(r"^The user's name is (.+)\.$", re.MULTILINE)
_ASKED = frozenset(
    normalised(prompt)
    for prompt in (
        *("What is my name?", "What's my name?", "What was my name?", "Tell me my name"),
        *("Do you remember my name?", "Do you know my name?", "Do you still remember my name?"),
        *(
            "Who am I?",
            "What am I called?",
            "What did I say my name was?",
            "What is my name again?",
        ),
        *(
            "我叫什么名字？",
            "我叫什么？",
            "我的名字是什么？",
            "你记得我的名字吗？",
            "你知道我的名字吗？",
        ),
    )
)


def told_name(prompt: str) -> str:
    """The name that the whole prompt tells, as typed; empty where it tells none."""
    match = _TOLD.fullmatch(prompt[:200])
    return match["name"].strip() if match and not _NO_NAME.search(match["name"]) else ""


def known_name(turn: Turn) -> str:
    """The name told last in the conversation before, also in the sentences of a longer prompt."""
    for prompt, answer in reversed(turn.earlier):
        for sentence in (prompt, *re.split(r"[.!?。！？\n]+", prompt[:2000])):
            if name := told_name(sentence):
                return name
        if summed_up := _SUMMED_UP.search(answer):
            return summed_up[1]
    return ""


def answer_name(turn: Turn) -> Steps | None:
    """What is said to a name, or to a question after it; None for another prompt."""
    if name := told_name(turn.prompt):
        return _thought(
            "The user tells me a name. I keep it in mind: the chain carries it on.",
            f"Hello, {name}! Nice to meet you. I will remember your name as long as this "
            "conversation goes on.",
        )
    if normalised(turn.prompt) not in _ASKED:
        return None
    thought = f"The user asks for a name. I look through the {len(turn.earlier)} turns before this."
    if name := known_name(turn):
        return _thought(thought, f"Yes, {name}! I remember your name. How can I help you today?")
    return _thought(
        thought,
        "No: you have not told me your name in this conversation. Say “My name is …”, and ask me "
        "again.",
    )


def _thought(thought: str, text: str) -> Steps:
    yield Think(thought)
    yield Say(text)


# Function calls.

Round: TypeAlias = list[tuple[str, JSON]]

UNKNOWN = "no_such_function"
BAD_ARGUMENTS = '{"where": '
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n.*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"\bcall(?:ing)?\s+`?(?P<name>[^\W\d]\w*)\(", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w.])(?P<name>[^\W\d]\w*)\(")
_THEN = re.compile(r"\b(?:then|after that|afterwards)\b", re.IGNORECASE)
_ENDLESS = re.compile(r"\b(?:again and again|for ?ever|without end|endlessly)\b", re.IGNORECASE)
_CONSTANTS = {"true": "True", "false": "False", "null": "None"}
_MOST_READ = 20_000
_MOST_CLOSED = 100  # parentheses of one call


def answer_call(turn: Turn) -> Steps | None:
    """`call NAME(…)`: the calls of the next round, or what they gave; None for another prompt."""
    text = _FENCED.sub("", turn.prompt[:_MOST_READ])
    asked = _CALL.search(text)
    wrong = turn.switches.unknown_function or turn.switches.bad_arguments
    if asked is None:
        if not (wrong and turn.functions):
            return None
        return _tell(turn) if turn.results else play_calls([(next(iter(turn.functions)), {})], turn)
    if asked["name"] not in turn.tools and not turn.results:
        return _thought("That function is not offered.", needed([asked["name"]]))
    rounds = _rounds(text[asked.start("name") :], turn.functions)
    done = len(turn.results)
    for calls in rounds:
        if done < len(calls):
            return play_calls(calls, turn)
        done -= len(calls)
    if rounds and _ENDLESS.search(text):
        return play_calls(rounds[-1], turn)
    if turn.results:
        return _tell(turn)
    return _thought(
        "The arguments cannot be read.",
        f"I cannot read the arguments of `{asked['name']}`: write them as in Python, with numbers, "
        'texts in quotes, lists and objects, such as `call NAME(a=1, b="x")`.',
    )


def play_calls(calls: Round, turn: Turn) -> Steps:
    yield Think(f"I call {', '.join(name for name, _ in calls)}.")
    for name, arguments in calls:
        written = json.dumps(arguments, ensure_ascii=False)
        yield Call(
            UNKNOWN if turn.switches.unknown_function else name,
            BAD_ARGUMENTS if turn.switches.bad_arguments else written,
        )


def _tell(turn: Turn) -> Steps:
    yield Think("The function calls are done. I tell the user what they gave back.")
    yield Say(results_text(turn.results))


def results_text(results: tuple[CallResult, ...]) -> str:
    """What the calls gave, as it came."""
    return "\n\n".join(map(_result_text, results))


def _result_text(result: CallResult) -> str:
    text = result.output
    if len(text) > 2000:
        text = f"{text[:2000]}\n… ({len(text)} characters)"
    verb = "failed" if text.startswith("Error:") else "gave"
    return f"`{result.name}({_written(result.arguments)})` {verb}:\n\n{fenced(text)}"


def _written(arguments: str) -> str:
    value = read_json(arguments)
    if not isinstance(value, dict):
        return arguments
    return ", ".join(f"{name}={json.dumps(v, ensure_ascii=False)}" for name, v in value.items())


def _rounds(text: str, functions: Mapping[str, tuple[str, ...]]) -> list[Round]:
    """The calls that the text names; "then" between two begins another round. In a round a function
    is called once for each different list of arguments."""
    rounds: list[Round] = []
    closed = 0
    for mention in _MENTION.finditer(text):
        if mention.start() < closed or mention["name"] not in functions:
            continue  # among the arguments of the one before, or not offered
        end, arguments = read_call(text, mention.end() - 1, functions[mention["name"]])
        if arguments is None:
            continue
        if not rounds or _THEN.search(text[closed : mention.start()]):
            rounds.append([])
        call = (mention["name"], arguments)
        rounds[-1] += [call] if call not in rounds[-1] else []
        closed = end
    return rounds


def read_call(text: str, start: int, parameters: tuple[str, ...]) -> tuple[int, JSON | None]:
    """(where they end, the arguments) of the parentheses that open at `start`: Python's literals,
    and JSON's; one object alone is all of them. None where they are something else."""
    for close in islice(re.finditer(r"\)", text[start:]), _MOST_CLOSED):
        end = start + close.end()
        try:
            call = ast.parse(f"f{text[start:end]}", mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue  # this parenthesis stands in a text or closes an inner one
        try:
            return end, _arguments(call, parameters)
        except (SyntaxError, ValueError, TypeError):
            break
    return start, None


def _arguments(call: ast.expr, parameters: tuple[str, ...]) -> JSON:
    if not isinstance(call, ast.Call):
        raise ValueError("this is no call")
    values = [_literal(node) for node in call.args]
    if len(values) == 1 and isinstance(values[0], dict) and not call.keywords:
        return values[0]
    if len(values) > len(parameters):
        raise ValueError("there are more values than parameters")
    given = dict(zip(parameters, values, strict=False))
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError("** is no literal")
        given[keyword.arg] = _literal(keyword.value)
    return given


def _literal(node: ast.expr) -> object:
    for name in (each for each in ast.walk(node) if isinstance(each, ast.Name)):
        if name.id in _CONSTANTS:  # JSON's
            name.id = _CONSTANTS[name.id]
    return ast.literal_eval(ast.unparse(node))


# The conversation, summed up.

_SUM_UP = re.compile(
    r"(?:summari[sz]e|sum up) (?:our|this|the) (?:conversation|chat)(?: so far)?"
    r"(?: so that it can go on from the summary alone .*)?"
)
_MOST_TOLD = 600  # characters of an answer


def answer_summary(turn: Turn) -> Steps | None:
    """What was asked and answered; None for another prompt."""
    if not _SUM_UP.fullmatch(" ".join(normalised(turn.prompt))):
        return None
    return _thought("I list what was asked and what was answered.", "\n".join(_summary_lines(turn)))


def _summary_lines(turn: Turn) -> Iterator[str]:
    if not turn.earlier:
        yield "Nothing has been asked in this conversation before."
        return
    yield "What was asked and answered so far:"
    yield ""
    for number, (prompt, answer) in enumerate(turn.earlier, 1):
        yield f"{number}. Asked: {_short(prompt)}"
        yield f"   Answered: {_short(answer)}"
    if name := known_name(turn):
        yield f"\nThe user's name is {name}."


def _short(text: str) -> str:
    line = " ".join(re.sub(r"\*\(Offline demo: .*?\)\*", "", text).split())
    return f"{line[:_MOST_TOLD]} …" if len(line) > _MOST_TOLD else line or "(nothing)"


def needed(tools: list[str]) -> str:
    """The sentence where the request offers too little."""
    named = [tool for tool in tools if tool != "image"]
    options = [f"`-t {','.join(named)}`"] if named else []
    options += ["`-i FILE`"] if "image" in tools else []
    things = " and ".join(["a picture" if tool == "image" else f"`{tool}`" for tool in tools])
    return (
        f"For this the offline demo needs {things}, which this request does not offer: add "
        f"{' '.join(options)}, and ask again."
    )
