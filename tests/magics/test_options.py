"""Reading a line: options, then the prompt to the letter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.errors import OptionError, UsageError
from qwen_magic.magics.conversations import read_name, read_steps
from qwen_magic.magics.line import (
    LOOKS_LIKE_OPTION,
    read_cell,
    read_chat,
    read_line,
    read_words,
)
from qwen_magic.magics.service import ServiceMagics
from qwen_magic.options import OPTIONS, Options

unhurried = settings(deadline=None)  # the machine may be busy


@pytest.mark.parametrize(
    ("line", "options", "prompt"),
    [
        ("", Options(), ""),
        ("what is this?", Options(), "what is this?"),
        ("  two   spaces  ", Options(), "two   spaces  "),
        ('it\'s "quoted" `code` --think', Options(), 'it\'s "quoted" `code` --think'),
        ("-m qwen3-max Hello", Options(model="qwen3-max"), "Hello"),
        ("-mqwen3-max Hello", Options(model="qwen3-max"), "Hello"),
        ("-m=qwen3-max Hello", Options(model="qwen3-max"), "Hello"),
        ("--model=qwen3-max Hello", Options(model="qwen3-max"), "Hello"),
        ("--model  qwen3-max\tHello", Options(model="qwen3-max"), "Hello"),
        ("-m a -m b x", Options(model="b"), "x"),
        ("-m some/model:7b x", Options(model="some/model:7b"), "x"),
        ("-t web_search,all Go", Options(tools=("web_search", "all")), "Go"),
        ("-t a -t b,a Go", Options(tools=("a", "b")), "Go"),
        ("-t a -t none -t b Go", Options(tools=("b",)), "Go"),
        ("-t none Go", Options(tools=()), "Go"),
        ("-t a，b 你好", Options(tools=("a", "b")), "你好"),
        ('-t "a, b" Go', Options(tools=("a", "b")), "Go"),
        ("--think x", Options(think=True), "x"),
        ("--no-think x", Options(think=False), "x"),
        ("--no-think -e none x", Options(think=False, effort="none"), "x"),
        ("-e high x", Options(effort="high"), "x"),
        ("-e ultra x", Options(effort="ultra"), "x"),
        ("--effort 2000 x", Options(effort="2000"), "x"),
        ('-s "You are terse" Hi', Options(system="You are terse"), "Hi"),
        ("-s 'You are terse' Hi", Options(system="You are terse"), "Hi"),
        ("-s “You are terse” Hi", Options(system="You are terse"), "Hi"),
        ('--system="You are terse" Hi', Options(system="You are terse"), "Hi"),
        (r'-s "say \"no\" \\ \d" Hi', Options(system=r'say "no" \ \d'), "Hi"),
        (r"-s 'it\'s' Hi", Options(system="it's"), "Hi"),
        ("-s don't Hi", Options(system="don't"), "Hi"),
        ('-s "" Hi', Options(system=""), "Hi"),
        ("-s @./persona.md Hi", Options(system="@./persona.md"), "Hi"),
        ("-c sales --after -1 x", Options(chat="sales", after="-1"), "x"),
        ("--after main:3 x", Options(after="main:3"), "x"),
        ("--new x", Options(new=True), "x"),
        ("--no-history -o answer x", Options(history=False, out="answer"), "x"),
        ("--temperature 0 --top-p 1 x", Options(temperature=0.0, top_p=1.0), "x"),
        ("--max-output-tokens 16 x", Options(max_output_tokens=16), "x"),
        ("--timeout 2.5 x", Options(timeout=2.5), "x"),
        (
            "--dry-run --raw --quiet x",
            Options(dry_run=True, raw=True, quiet=True),
            "x",
        ),
        ("-h", Options(help=True), ""),
        ("--help --think --no-history --new", None, ""),
        ("-- --think", Options(), "--think"),
        ("--think --  -m is an option", Options(think=True), " -m is an option"),
        ("--", Options(), ""),
        ("- a list", Options(), "- a list"),
        ("-5 degrees", Options(), "-5 degrees"),
        ("--- rule", Options(), "--- rule"),
        ("-> arrow", Options(), "-> arrow"),
        ("—model is a dash", Options(), "—model is a dash"),
        ("--think\n- a\n- b", Options(think=True), "- a\n- b"),
    ],
)
def test_reads(line: str, options: Options | None, prompt: str) -> None:
    read, rest = read_line(line)
    assert rest == prompt
    assert read == options if options else read.help


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--modle x", "There is no option --modle; did you mean --model?"),
        ("--temp 1", "did you mean --temperature?"),
        ("--max_output_tokens 20", "did you mean --max-output-tokens?"),
        ("--Think x", "did you mean --think?"),
        ("--zzz", "There is no option --zzz; -h lists them"),
        ("-T web_search", "There is no option -T; did you mean -t?"),
        ("-x", "There is no option -x; -h lists them"),
        ("-model x", "There is no option -model; did you mean --model?"),
        ("-think x", "There is no option -think; did you mean --think?"),
        ("-help", "did you mean --help?"),
        ("-hx", "There is no option -hx; -h takes no value."),
        ("--think=yes x", "--think takes no value."),
        ("-m", "-m needs a value: -m NAME"),
        ("--model", "--model needs a value: --model NAME"),
        ("--model= x", "--model needs a value"),
        ("-m --think x", "-m needs a value"),
        ("-m -- x", "-m needs a value"),
        ('-m "" x', "-m needs a value"),
        ('-s "You are', '-s begins with ", which nothing closes'),
        ('-s "You"are', "A space is missing after the quoted value of -s"),
        ("-t web_search, web_extractor x", "-t web_search, lacks a name beside a comma"),
        ("-t , x", "lacks a name beside a comma"),
        ("-e hgih x", "-e hgih does not exist; did you mean high?"),
        ("--temperature 2 x", "--temperature takes a number from 0 up to, not including, 2"),
        ("--temperature hot x", "not 'hot'"),
        ("--temperature nan x", "not 'nan'"),
        ("--temperature -0.1 x", "not '-0.1'"),
        ("--top-p 0 x", "--top-p takes a number above 0, up to 1"),
        ("--top-p 1.1 x", "--top-p takes"),
        ("--max-output-tokens 15 x", "a whole number, at least 16"),
        ("--max-output-tokens 20.5 x", "a whole number, at least 16"),
        ("--timeout 0 x", "a number of seconds above 0"),
        ("--timeout inf x", "a number of seconds above 0"),
        ("-o my-answer x", "-o takes the name of a variable"),
        ("-o class x", "-o takes the name of a variable"),
        ("-c a:b x", "'a:b' cannot name a conversation."),
        ('-c "two words" x', "cannot name a conversation"),
        ("--think --no-think x", "--think and --no-think contradict"),
        ("--think -e none x", "--think and -e none contradict"),
        ("--no-think --effort high x", "--no-think and --effort high contradict"),
        ("--new --after 3 x", "--new and --after contradict"),
        ("--new --no-history x", "--new and --no-history contradict"),
        ("--new -c sales x", "--new and -c contradict"),
        ("-c sales --no-history x", "--no-history and -c contradict"),
        ("--after 3 --no-history x", "--no-history and --after contradict"),
    ],
)
def test_a_bad_option_is_one_clear_line(line: str, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_line(line)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_no_long_option_can_be_abbreviated() -> None:
    for option in OPTIONS:
        with pytest.raises(OptionError):
            read_line(f"{option.long[:-1]} x")


words = st.text(st.characters(exclude_categories=["Cs"]))


@unhurried
@given(words)
def test_any_prompt_survives_to_the_letter(prompt: str) -> None:
    assert read_line(f"-- {prompt}")[1] == prompt
    assert read_line(f"--think -t a,b -s 'x y' -- {prompt}")[1] == prompt
    bare = prompt.lstrip()
    if not LOOKS_LIKE_OPTION.match(bare) and not bare.startswith("--"):
        assert read_line(prompt) == (Options(), bare)
        assert read_line(f"-m qwen3-max {prompt}") == (Options(model="qwen3-max"), bare)


@unhurried
@given(words)
def test_any_quoted_value_survives(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    read, prompt = read_line(f'-s "{escaped}" rest')
    # A backslash before a quote of the other kind is an escape too, so it is written twice above.
    assert (read.system, prompt) == (value, "rest")


fragments = st.lists(
    st.sampled_from(
        ["-m", "-t", "--think", "--", "-", "=", '"', "'", "\\", " ", "a", ",", "-s", "--x", "\n"]
    )
)


@unhurried
@given(fragments)
def test_nothing_but_option_errors_come_out(parts: list[str]) -> None:
    line = "".join(parts)
    try:
        _, prompt = read_line(line)
    except OptionError as error:
        said = str(error)
    else:
        said = ""
        assert line.endswith(prompt)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("line", "body", "prompt"),
    [
        ("", "Hello\n", "Hello"),
        ("-t all", "\n\n  \nfirst\n\nsecond\n \n\n", "first\n\nsecond"),
        ("", "    indented\n  code", "    indented\n  code"),
        ("Translate:", "good morning\n", "Translate:\ngood morning"),
        ("--think Only the line", "", "Only the line"),
        ("", "--think is a word here\n", "--think is a word here"),
        ("", "-t web_search\n", "-t web_search"),
        ("-m x", "a\r\nb\r\n", "a\r\nb"),
        ("", "two  \n", "two  "),
    ],
)
def test_a_cell(line: str, body: str, prompt: str) -> None:
    assert read_cell(line, body)[1] == prompt


@pytest.mark.parametrize("body", ["", "\n", "  \n\t\n ", "\u3000\r\n"])
def test_an_empty_cell_says_what_to_type(body: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_cell("-t all", body)
    assert caught.value.message == "There is no prompt."
    assert "below %%qwen" in caught.value.hint


def test_help_needs_no_prompt() -> None:
    assert read_cell("--help", "")[0].help
    assert read_cell("-h")[0].help
    with pytest.raises(UsageError, match="no prompt"):
        read_cell("--think ")


@pytest.mark.parametrize(
    ("typed", "defaults", "merged"),
    [
        (Options(), Options(model="a", tools=("x",)), Options(model="a", tools=("x",))),
        (Options(model="b"), Options(model="a"), Options(model="b")),
        (Options(tools=()), Options(tools=("x",)), Options(tools=())),
        (Options(system=""), Options(system="terse"), Options(system="")),
        (Options(temperature=0.0), Options(temperature=1.0), Options(temperature=0.0)),
        (Options(think=False), Options(effort="high"), Options(think=False)),
        (Options(think=True), Options(effort="none"), Options(think=True)),
        (Options(think=True), Options(effort="low"), Options(think=True, effort="low")),
        (Options(effort="none"), Options(think=True), Options(effort="none")),
        (Options(quiet=True), Options(chat="a", new=True, raw=True), Options(quiet=True)),
    ],
)
def test_defaults_fill_what_was_not_typed(
    typed: Options, defaults: Options, merged: Options
) -> None:
    assert typed.merged_over(defaults) == merged


@pytest.mark.parametrize(
    ("line", "name", "defaults"),
    [
        ("", None, Options()),
        ("sales", "sales", Options()),
        (
            "sales -t code_interpreter --think -m qwen3-max",
            "sales",
            Options(tools=("code_interpreter",), think=True, model="qwen3-max"),
        ),
        ("--think sales -t all", "sales", Options(think=True, tools=("all",))),
        ("-m x", None, Options(model="x")),
        ("销售-2", "销售-2", Options()),
        ("-h", None, Options(help=True)),
        ("sales -h", "sales", Options(help=True)),
        ("-h sales", "sales", Options(help=True)),
    ],
)
def test_a_line_of_qwen_chat(line: str, name: str | None, defaults: Options) -> None:
    read = read_chat(line)
    assert (read.name, read.defaults) == (name, defaults)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("two words", "takes one name, without spaces"),
        ("'two words'", "cannot name a conversation"),
        ("sales --dry-run", "--dry-run is for one turn"),
        ("sales -c other", "-c is for one turn"),
        ("a:b", "cannot name a conversation"),
        ("-5", "cannot name a conversation"),
        ("sales --thikn", "did you mean --think?"),
    ],
)
def test_a_wrong_line_of_qwen_chat(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_chat(line)


def test_all_conversations_are_listed_by_nothing_else() -> None:
    assert read_chat("--all").everything
    assert not read_chat("").everything
    for line in ("sales --all", "--all sales", "--all -m x"):
        with pytest.raises(UsageError, match="takes nothing besides"):
            read_chat(line)


@pytest.mark.parametrize(
    ("line", "words", "given"),
    [
        ("", [], {}),
        ("other", ["other"], {}),
        ("other --after 3 --compact", ["other"], {"after": "3", "compact": True}),
        ("--after=main:3 other", ["other"], {"after": "main:3"}),
        ("--after -1 'an other'", ["an other"], {"after": "-1"}),
        ("a\\ b", ["a b"], {}),
        ("-- --odd", ["--odd"], {}),
    ],
)
def test_words_and_options_of_another_magic(
    line: str, words: list[str], given: dict[str, object]
) -> None:
    assert read_words("qwen_fork", line, "one name", most=1) == (words, given)


@pytest.mark.parametrize(
    ("magic", "line", "said"),
    [
        ("qwen_fork", "a --compct", "There is no option --compct; did you mean --compact?"),
        ("qwen_fork", "a --think", "There is no option --think; %qwen_fork takes --after and"),
        ("qwen_fork", "a --after", "--after needs a value: --after REF"),
        ("qwen_tools", "nonsense", "%qwen_tools takes --forget, not 'nonsense'."),
        ("qwen_tools", "--frget", "did you mean --forget?"),
        ("qwen_models", "all", "%qwen_models takes nothing, not 'all'."),
        ("qwen_models", "--all", "There is no option --all; %qwen_models takes none."),
        ("qwen_models", "'x", "A quote is not closed"),
    ],
)
def test_a_wrong_line_of_another_magic(magic: str, line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_words(magic, line)
    assert said in str(caught.value)


def test_a_line_of_qwen_new() -> None:
    assert read_name("qwen_new", "  ") == ""
    assert read_name("qwen_new", " plan-b ") == "plan-b"
    assert read_name("qwen_new", "'plan'") == "plan"
    for line in ("plan b", "'plan b'", "-5"):
        with pytest.raises(UsageError, match="name"):
            read_name("qwen_new", line)


def test_a_line_of_qwen_undo() -> None:
    assert [read_steps(line) for line in ("", " 2 ", "10")] == [1, 2, 10]
    for line in ("0", "-1", "two", "1 2"):
        with pytest.raises(UsageError, match="how many turns to step back"):
            read_steps(line)


def test_a_wrong_line_of_qwen_demo() -> None:
    with pytest.raises(UsageError, match="on, off or auto, not 'maybe'"):
        ServiceMagics.qwen_demo(None, "maybe")


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("-f a.csv,b.pdf why", ("a.csv", "b.pdf")),
        ("-f a.csv --file=b.pdf why", ("a.csv", "b.pdf")),
        ('-f "two words, and more.csv" why', ("two words, and more.csv",)),
        ("-f 'say \"x\".txt' why", ('say "x".txt',)),
        ("-f it's.txt why", ("it's.txt",)),
        ("-f 行星.csv why", ("行星.csv",)),
        ("-f *.csv why", ("*.csv",)),
    ],
)
def test_names_of_files(line: str, files: tuple[str, ...]) -> None:
    options, prompt = read_line(line)
    assert (options.files, prompt) == (files, "why")
