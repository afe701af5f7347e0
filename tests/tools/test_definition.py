"""Functions of the notebook as tools."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import pickle
import re
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import annotated_types as at
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.document.words import own_name, wire_name
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


SECRET = "sk-live-SECRET1"


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
    def f(a: Service) -> None: ...

    with pytest.raises(UsageError, match="f cannot be a tool: its parameter a is of a type"):
        FunctionTool.of(f)


def test_annotations_that_cannot_be_read():
    def f(a: Nowhere) -> None: ...  # noqa: F821

    with pytest.raises(UsageError, match="annotations of f cannot be read"):
        FunctionTool.of(f)


def test_models_of_pydantic_are_built():
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


@dataclasses.dataclass
class Part:
    count: Annotated[int, at.Ge(1)]
    kinds: list[Literal["a", "b"]] = dataclasses.field(default_factory=list)


class Span(TypedDict):
    end: Annotated[int, at.Le(3)]


class Corner(NamedTuple):
    x: Annotated[int, at.Ge(0)]
    y: float = 0.0


def limited(
    size: Annotated[int, pydantic.Field(ge=1, le=50)] = 1,
    code: Annotated[str, pydantic.Field(pattern="^[A-Z]{3}$"), "the code"] = "ABC",
    share: Annotated[float, at.Interval(gt=0, lt=1)] = 0.5,
    names: Annotated[list[str], at.Len(1, 2)] = [],  # noqa: B006
    step: Annotated[float, at.MultipleOf(0.5)] = 1,
    maybe: Annotated[int | None, at.Ge(1)] = None,
    inner: Annotated[int, at.Ge(1)] | None = None,
    since: Annotated[datetime.date, at.Ge(datetime.date(2024, 1, 1))] | None = None,
    price: Annotated[decimal.Decimal, at.Gt(0)] | None = None,
    small: at.LowerCase[str] = "a",
    tidy: Annotated[str, pydantic.StringConstraints(to_upper=True, max_length=3)] = "A",
    parts: list[Part] | None = None,
    span: Span | None = None,
    corner: Corner | None = None,
    more: pydantic.PositiveInt = 1,
    wait: datetime.timedelta | None = None,
    by_number: dict[int, str] | None = None,
) -> None: ...


def test_limits_are_told():
    told = FunctionTool.of(limited).parameters
    of = told["properties"]
    assert of["size"] == {"type": "integer", "minimum": 1, "maximum": 50, "default": 1}
    assert (of["code"]["pattern"], of["code"]["description"]) == ("^[A-Z]{3}$", "the code")
    assert (of["share"]["exclusiveMinimum"], of["share"]["exclusiveMaximum"]) == (0, 1)
    assert (of["names"]["minItems"], of["names"]["maxItems"]) == (1, 2)
    assert of["step"]["multipleOf"] == 0.5
    assert of["since"]["anyOf"][0]["description"] == "(at least 2024-01-01)"
    assert told["$defs"]["Part"]["properties"]["count"] == {"type": "integer", "minimum": 1}
    assert told["$defs"]["Span"]["properties"]["end"]["maximum"] == 3
    assert told["$defs"]["Corner"]["properties"]["x"]["minimum"] == 0


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"size": 0}, "size: expected at least 1"),
        ({"size": 51}, "size: expected at most 50"),
        ({"code": "no"}, "code: "),
        ({"share": 1}, "share: expected less than 1"),
        ({"names": []}, "names: expected at least 1"),
        ({"names": ["a"] * 3}, "names: expected at most 2"),
        ({"step": 0.7}, "step: expected a multiple of 0.5"),
        ({"maybe": 0}, "maybe: expected at least 1"),
        ({"inner": 0}, "inner: expected at least 1"),
        ({"since": "2023-12-31"}, "since: "),
        ({"price": "-1.5"}, "price: "),
        ({"parts": [{"count": 1}, {"count": 0}]}, "parts[1].count: expected at least 1"),
        ({"parts": [{"count": 1, "kinds": ["c"]}]}, "parts[0].kinds[0]: expected one of"),
        ({"span": {"end": 4}}, "span.end: expected at most 3"),
        ({"corner": {"x": -1}}, "corner.x: expected at least 0"),
        ({"more": 0}, "more: expected more than 0"),
    ],
)
def test_limits_are_checked(arguments, place, installed, monkeypatch):
    made = FunctionTool.of(limited)
    if not installed:  # pydantic is optional
        monkeypatch.setattr("qwen_magic.tools.building.type_adapter", lambda hint: None)
    with pytest.raises(ArgumentsError) as caught:
        made.read_arguments(json.dumps(arguments))
    assert str(caught.value.faults[0]).startswith(place)


def searched(
    q: str = pydantic.Field(..., min_length=2, description="what for"),
    size: int = pydantic.Field(10, ge=1, le=50),
    tags: list[str] = pydantic.Field(default_factory=list, max_length=2),  # noqa: B008
    since: datetime.date | None = pydantic.Field(None, ge=datetime.date(2024, 1, 1)),  # noqa: B008
    token: str = pydantic.Field("sk-live-0123456789abcdef"),
) -> None: ...


def test_fields_in_the_place_of_defaults():
    """As FastAPI has them: the function must never see the field itself."""
    tool = FunctionTool.of(searched)
    of = tool.parameters["properties"]
    assert tool.parameters["required"] == ["q"]
    assert of["q"] == {"type": "string", "minLength": 2, "description": "what for"}
    assert of["size"] == {"type": "integer", "minimum": 1, "maximum": 50, "default": 10}
    assert of["tags"]["maxItems"] == 2
    assert tool.withheld == ("token",)
    assert "sk-live" not in json.dumps(tool.definition())
    made = tool.read_arguments('{"q": "ab", "since": null}')
    given = {"q": "ab", "size": 10, "tags": [], "since": None}
    assert made == {**given, "token": "sk-live-0123456789abcdef"}
    assert tool.read_arguments('{"q": "ab"}')["tags"] is not made["tags"]
    for wrong in (
        "{}",
        '{"q": "a"}',
        '{"q": "ab", "size": 0}',
        '{"q": "ab", "tags": ["", "", ""]}',
    ):
        with pytest.raises(ArgumentsError):
            tool.read_arguments(wrong)


def test_what_is_within_the_limits_is_built():
    made = FunctionTool.of(limited).read_arguments(
        '{"size": "7", "since": "2024-01-01", "price": "1.5", "tidy": "abc", "wait": "PT3S",'
        ' "parts": [{"count": 2, "kinds": ["a"]}], "corner": {"x": 1}, "by_number": {"1": "a"}}'
    )
    assert made == {
        "size": 7,
        "since": datetime.date(2024, 1, 1),
        "price": decimal.Decimal("1.5"),
        "tidy": "ABC",
        "wait": datetime.timedelta(seconds=3),
        "parts": [Part(2, ["a"])],
        "corner": Corner(1),
        "by_number": {1: "a"},
    }
    with pytest.raises(ArgumentsError, match="small: Predicate"):
        FunctionTool.of(limited).read_arguments('{"small": "A"}')


def 查询(城市: str) -> str:  # noqa: N802, N803
    """查天气"""
    return 城市


@pytest.mark.parametrize(
    ("function", "variable", "told", "shown"),
    [
        (查询, "", "xn--jvv041f", "查询"),
        (lambda: 1, "now", "now", "now"),
        (lambda: 1, "tool 0", "function", "function"),
        (functools.partial(lookup, day="x"), "here", "here", "here"),
        (functools.partial(lookup, day="x"), "tool 0", "lookup", "lookup"),
        (Service().look, "x", "look", "look"),
        (Service(), "", "Service", "Service"),
        (Service(), "shop", "shop", "shop"),
        (functools.partial(查询), "tool 0", "xn--jvv041f", "查询"),
    ],
)
def test_names(function, variable, told, shown):
    made = FunctionTool.of(function, variable)
    assert (made.name, own_name(made.name)) == (told, shown)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", made.name)
    if not shown.isascii():
        assert made.description.startswith(f"{shown}: ")
        assert made.read_arguments('{"城市": "x"}') == {"城市": "x"}


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_two_names_are_told_as_one(one, other):
    one, other = f"f{one}", f"g{other}"
    made = wire_name(one)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", made)
    if one.isidentifier() and other[1:].isidentifier():
        assert wire_name(other[1:]) != made or one == other[1:]
    if one.isidentifier() and len(made) < 48:
        assert own_name(made) == one
