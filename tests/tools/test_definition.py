"""Functions of the notebook as tools."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import pickle
from typing import Annotated, Any, Literal, TypedDict

import pytest

from qwen_magic.errors import UsageError
from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.tools.definition import (
    ArgumentsError,
    FunctionTool,
    failure_of,
    is_tool,
    tool,
)


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


class Window(TypedDict):
    start: int
    end: int


@dataclasses.dataclass
class Place:
    city: str
    since: datetime.date | None = None


@dataclasses.dataclass
class Row:
    cells: list


def weather(
    place: Place,
    day: datetime.date,
    *,
    unit: Unit = Unit.C,
    hours: list[int] | None = None,
    mode: Literal["short", "long"] = "short",
    limit: Annotated[int, "how many at most"] = 5,
    window: Window | None = None,
    share: float = 0.5,
    exact: bool = False,
) -> str:
    """The weather of a day.

    Args:
        place: where
        day: when, in local time
    """
    raise AssertionError("a tool was run")


@tool
def rows(where: str, count=3) -> list[dict[str, Any]]:
    """Rows that match."""
    return [{"where": where}] * count


async def later(seconds: float) -> None:
    """Wait."""


WEATHER = FunctionTool.of(weather)


def test_the_definition_is_flat_and_whole():
    definition = WEATHER.definition()
    assert set(definition) == {"type", "name", "description", "parameters", "strict"}
    assert (definition["type"], definition["name"]) == ("function", "weather")
    assert definition["description"] == "The weather of a day."
    parameters = definition["parameters"]
    properties = parameters["properties"]
    assert parameters["required"] == ["place", "day"]
    assert parameters["additionalProperties"] is False
    assert properties["place"] == {"description": "where", "$ref": "#/$defs/Place"}
    assert properties["day"]["description"] == "when, in local time"
    assert properties["unit"] == {"type": "string", "enum": ["celsius", "fahrenheit"]}
    assert properties["mode"] == {
        "type": "string", "enum": ["short", "long"], "default": "short",
    }  # fmt: skip
    assert properties["limit"] == {
        "type": "integer", "description": "how many at most", "default": 5,
    }  # fmt: skip
    assert properties["hours"]["anyOf"][1] == {"type": "null"}
    assert parameters["$defs"]["Place"]["required"] == ["city"]
    assert set(parameters["$defs"]) == {"Place", "Window"}


def test_arguments_become_what_the_function_takes():
    arguments = WEATHER.read_arguments(
        '{"place": {"city": "Bonn", "since": "2001-01-01"}, "day": "2024-02-29",'
        ' "unit": "fahrenheit", "hours": [1, 2], "window": {"start": 1, "end": 2}}'
    )
    assert arguments == {
        "place": Place("Bonn", datetime.date(2001, 1, 1)),
        "day": datetime.date(2024, 2, 29),
        "unit": Unit.F,
        "hours": [1, 2],
        "window": {"start": 1, "end": 2},
    }


def test_what_is_meant_is_mended():
    arguments = WEATHER.read_arguments(
        '{"place": "{\\"city\\": \\"Bonn\\"}", "day": "2024-02-29", "limit": "7", "share": "1e-1",'
        ' "exact": "True", "hours": "[1, 2.0]", "mode": null}'
    )
    del arguments["day"]
    assert arguments == {
        "place": Place("Bonn"), "limit": 7, "share": 0.1, "exact": True, "hours": [1, 2],
    }  # fmt: skip
    assert type(arguments["limit"]) is int
    whole = WEATHER.read_arguments('{"place":{"city":""},"day":"2024-01-01","limit":5.0,"share":1}')
    assert (type(whole["limit"]), type(whole["share"])) == (int, float)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"place": ', "are not JSON"),
        ("[1]", "are no JSON object, but list"),
        ("{}", "place: is missing; day: is missing"),
        ('{"place": {"city": "x"}, "day": "2024-01-01", "rain": 1}', "rain: is not known; the"),
        ('{"place": {"city": 5}, "day": "2024-01-01"}', "place.city: expected string, got 5"),
        ('{"place": {"city": "x"}, "day": "soon"}', 'day: "soon" was refused: ValueError'),
        ('{"place": {"city": "x"}, "day": null}', "day: expected string, got null"),
        (
            '{"place": {"city": "x"}, "day": "2024-01-01", "limit": "many"}',
            'limit: expected integer, got "many"',
        ),
        (
            '{"place": {"city": "x"}, "day": "2024-01-01", "hours": [1, "x"]}',
            'hours[1]: expected integer, got "x"',
        ),
    ],
)
def test_arguments_that_do_not_fit(text, words):
    with pytest.raises(ArgumentsError) as caught:
        WEATHER.read_arguments(text)
    assert words in str(caught.value)
    assert "of weather" in failure_of(caught.value).text


def test_what_fits_one_of_several_types_is_left_alone():
    def f(a: int | str, b: int | list[int] | None = None) -> None: ...

    made = FunctionTool.of(f)
    assert made.read_arguments('{"a": "5", "b": "6"}') == {"a": "5", "b": 6}
    assert made.read_arguments('{"a": "5", "b": "[\\"6\\"]"}') == {"a": "5", "b": [6]}


def test_no_arguments_at_all():
    assert FunctionTool.of(lambda: 1, "now").read_arguments("") == {}


def test_the_decorator_leaves_the_function_as_it_was():
    assert rows("x", 1) == [{"where": "x"}]
    assert pickle.loads(pickle.dumps(rows)) is rows
    assert is_tool(rows)
    assert not is_tool(weather)
    properties = FunctionTool.of(rows).parameters["properties"]
    assert properties["count"] == {"type": "integer", "default": 3}


def test_the_decorator_takes_names():
    @tool(name="find rows!", description="Finds.")
    def f(a: int) -> int:
        return a

    made = FunctionTool.of(f)
    assert (made.name, made.description) == ("find_rows", "Finds.")


def test_async_functions_are_marked():
    assert FunctionTool.of(later).is_async
    assert not WEATHER.is_async


def test_methods_partials_and_callable_objects():
    class Shop:
        def price(self, item: str) -> float:
            """The price."""
            return 1.0

        async def __call__(self, item: str) -> float:
            """Ask the shop."""
            return 1.0

    shop = Shop()
    assert FunctionTool.of(shop.price).parameters["required"] == ["item"]
    called = FunctionTool.of(shop, "shop")
    assert (called.name, called.description, called.is_async) == ("shop", "Ask the shop.", True)
    partial = FunctionTool.of(functools.partial(weather, Place("x")), "here")
    assert partial.name == "here"
    assert partial.parameters["required"] == ["day"]

    @functools.wraps(weather)
    def wrapped(*arguments: Any, **named: Any) -> str:
        return weather(*arguments, **named)

    assert FunctionTool.of(wrapped).definition() == WEATHER.definition()


SECRET = "sk-live-SECRET"


def lookup(city: str, api_key: str = "", day: str = "today") -> str:
    """Looks it up."""
    return city


def passing_on(function):
    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return wrapped


class Service:
    def look(self, city: str, api_key: str = "", day: str = "today") -> str:
        """Looks it up."""
        return city

    bound = functools.partialmethod(look, api_key=SECRET)

    def __call__(self, city: str, api_key: str = SECRET, day: str = "today") -> str:
        return city


BOUND = functools.partial(lookup, api_key=SECRET)


@pytest.mark.parametrize(
    "function",
    [
        BOUND,
        functools.partial(functools.partial(lookup, api_key="x"), api_key=SECRET),
        functools.update_wrapper(functools.partial(lookup, api_key=SECRET), lookup),
        passing_on(BOUND),
        passing_on(functools.update_wrapper(functools.partial(lookup, api_key=SECRET), lookup)),
        functools.lru_cache(BOUND),
        functools.update_wrapper(
            lambda city, day="today": lookup(city, api_key=SECRET, day=day), lookup
        ),
        Service().bound,
        functools.partial(Service().look, api_key=SECRET),
        functools.partial(Service.look, Service(), api_key=SECRET),
        functools.partial(Service(), api_key=SECRET),
    ],
)
def test_what_is_bound_is_no_parameter(function):
    made = FunctionTool.of(function, "x")
    assert list(made.parameters["properties"]) == ["city", "day"]
    assert made.parameters["required"] == ["city"]
    assert made.withheld == ()
    assert SECRET not in str(made.definition())
    assert function(**made.read_arguments('{"city": "Bonn"}')) == "Bonn"
    with pytest.raises(ArgumentsError, match="api_key: is not known"):
        made.read_arguments('{"city": "Bonn", "api_key": "of the model"}')


def test_bound_by_place():
    def f(a: int, b: int, c: int = 3) -> int:
        return a + b + c

    made = FunctionTool.of(functools.partial(f, 1, c=4))
    assert list(made.parameters["properties"]) == ["b"]


def test_defaults_that_look_secret_are_withheld(monkeypatch):
    pydantic = pytest.importorskip("pydantic")
    monkeypatch.setenv("SHOP_TOKEN", "plain words of a token")
    given = pydantic.create_model("Given", url=(str, "postgres://me:hunter22@host/db"))

    def f(
        password: str = "hunter22",
        by_look: str = SECRET,
        by_value: str = "plain words of a token",
        nested: Any = None,
        max_tokens: int = 500,
        sort_key: str = "city",
        token: str = "",
        city: str = "Bonn",
    ) -> None: ...

    f.__annotations__["nested"] = given
    made = FunctionTool.of(f)
    assert sorted(made.withheld) == ["by_look", "by_value", "password", "url"]
    told = {
        n: one["default"] for n, one in made.parameters["properties"].items() if "default" in one
    }
    assert told == {"max_tokens": 500, "sort_key": "city", "token": "", "city": "Bonn"}
    assert not any(part in str(made.definition()) for part in ("hunter22", SECRET, "plain words"))
    assert made.read_arguments("{}") == {}, "they are optional all the same"


def test_a_wrapper_that_takes_no_more_names_tells_its_own():
    @functools.wraps(lookup)
    def only(*arguments: Any) -> Any: ...

    with pytest.raises(UsageError, match=r"it takes \*arguments"):
        FunctionTool.of(only)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda *a: a, "it takes *a"),
        (lambda **k: k, "it takes **k"),
        (lambda a, /: a, "it takes a, which has no name for its caller"),
        (Place, "is no function, but a class"),
        (5, "is no function, but a value of type int"),
    ],
)
def test_what_cannot_be_a_tool(function, words):
    with pytest.raises(UsageError) as caught:
        FunctionTool.of(function)
    assert words in str(caught.value)


def test_types_that_json_does_not_have():
    def f(a: complex) -> None: ...

    with pytest.raises(UsageError, match="f cannot be a tool: its parameter a is of a type"):
        FunctionTool.of(f)


def test_annotations_that_cannot_be_read():
    def f(a: Nowhere) -> None: ...  # noqa: F821

    with pytest.raises(UsageError, match="annotations of f cannot be read"):
        FunctionTool.of(f)


def test_models_of_pydantic_are_built():
    pydantic = pytest.importorskip("pydantic")
    order = pydantic.create_model("Order", item=(str, ...), count=(int, 1))

    def buy(order: Any) -> str: ...

    buy.__annotations__["order"] = order
    made = FunctionTool.of(buy)
    assert made.read_arguments('{"order": {"item": "tea"}}')["order"] == order(item="tea")
    with pytest.raises(ArgumentsError, match=r"order\.item: is missing"):
        made.read_arguments('{"order": {}}')


def test_failures_are_told_to_the_model():
    assert failure_of(KeyError("x")) == CallResult.failure("KeyError: 'x'")
    assert len(failure_of(ValueError("x" * 10_000)).text) == len("Error: ") + 2_000


def test_every_array_says_its_items():
    def f(
        bare: list,
        row: Row,
        guessed=[1],  # noqa: B006
        pair: tuple[int, str] = (1, "a"),
        several: tuple = (),
        some: set | None = None,
        nested: list[list] = [],  # noqa: B006
    ) -> None:
        """Do it."""

    def arrays(schema):
        if isinstance(schema, dict):
            if schema.get("type") == "array":
                yield schema
            schema = list(schema.values())
        if isinstance(schema, list):
            for each in schema:
                yield from arrays(each)

    found = list(arrays(FunctionTool.of(f).parameters))
    assert len(found) == 8
    assert all("items" in each for each in found)
