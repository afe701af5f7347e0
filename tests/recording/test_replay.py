"""Which exchange answers a request, and what is said where none does."""

from dataclasses import replace

import pytest

from qwen_magic.context.cell_text import Masks
from qwen_magic.context.notebook import answer, read_selection, reading
from qwen_magic.context.secrets import Secrets
from qwen_magic.context.steps import RanCell, ran
from qwen_magic.recording.file import Exchange
from qwen_magic.recording.replay import Replayer, answered_model, word_difference


def body(question, *, after="", **options):
    previous = {"previous_response_id": after} if after else {}
    return {"model": "qwen3-max", "input": question, **options, **previous, "stream": True}


def answered(id, question, *, after="", model="qwen3-max-0923", **options):
    """An exchange as a server that gives this id answers it."""
    created = f'event:response.created\ndata:{{"response":{{"id":"{id}","model":"{model}"}}}}\n\n'
    return Exchange(
        "POST", "responses", body(question, after=after, **options), stream=((1, created),)
    )


LESSON = (
    answered("r1", "What is a prime?"),
    answered("r2", "The first 100 of them?", after="r1", temperature=0.2),
    answered("r3", "And their sum?", after="r2"),
)


def find(replayer, question, **given):
    return replayer.find("POST", "responses", body(question, **given))


def differences(question, **given):
    return " | ".join(Replayer(LESSON).nearest(body(question, **given)).differences)


class TestFinding:
    def test_a_lesson_from_its_beginning_to_its_end(self):
        replayer = Replayer(LESSON)
        assert find(replayer, "What is a prime?") is LESSON[0]
        assert find(replayer, "The first 100 of them?", after="r1", temperature=0.2) is LESSON[1]
        assert find(replayer, "And their sum?", after="r2") is LESSON[2]

    def test_model_input_options_and_place_count(self):
        replayer = Replayer(LESSON)
        assert find(replayer, "What is a prime number?") is None
        assert (
            replayer.find("POST", "responses", {**body("What is a prime?"), "model": "m"}) is None
        )
        assert find(replayer, "The first 100 of them?", after="r1") is None
        assert find(replayer, "And their sum?", after="r1") is None
        assert find(replayer, "And their sum?") is None

    def test_a_place_is_what_was_asked_before_not_an_id(self):
        """The second question was asked again when it was recorded, and the third follows that."""
        again = replace(LESSON[1], stream=answered("r2b", "").stream)
        third = answered("r3", "And their sum?", after="r2b")
        replayer = Replayer((*LESSON[:2], again, third))
        assert find(replayer, "And their sum?", after="r2") is third

    def test_an_id_that_the_recording_does_not_have_is_the_beginning(self):
        first = answered("r1", "What is a prime?", after="of_an_earlier_day")
        assert find(Replayer([first]), "What is a prime?") is first
        assert find(Replayer([first]), "What is a prime?", after="of_today") is first

    def test_ids_that_go_in_a_circle_end(self):
        circle = (answered("a", "x", after="b"), answered("b", "y", after="a"))
        assert find(Replayer(circle), "x") is circle[0]

    def test_the_same_again_is_the_next_then_the_last(self):
        again = replace(LESSON[0], status=429)
        replayer = Replayer([LESSON[0], again])
        found = [find(replayer, "What is a prime?") for _ in range(3)]
        assert found == [LESSON[0], again, again]

    def test_other_requests_are_found_by_method_and_path(self):
        gone, models = Exchange("DELETE", "responses/r1"), Exchange("GET", "models")
        replayer = Replayer((*LESSON, gone, models))
        assert replayer.find("GET", "models") is models
        assert replayer.find("DELETE", "responses/r1") is gone
        assert replayer.find("GET", "responses/r1") is None

    def test_what_cells_showed_may_differ(self):
        def told(shown, number=4, source="x", **step):
            other = RanCell(source, f"{shown}\n```", 9, number=number)
            return ran(2, RanCell("", shown, 9, **step), [other]).text

        recorded = answered("r2", told("12:00"), after="r1")
        replayer = Replayer((LESSON[0], recorded))
        assert find(replayer, told("12:01", 7), after="r1") is recorded
        for other in (told("12:01", source="y"), told("12:01", failed=True)):
            assert find(replayer, other, after="r1") is None

    def test_what_a_question_tells_of_the_notebook_may_differ(self):
        def told(number, shown):
            output = {"output_type": "stream", "text": shown}
            cell = {"id": "a", "cell_type": "code", "execution_count": number, "source": "x"}
            cells = [{**cell, "outputs": [output]}]
            steps = reading(read_selection("all"), "", Masks(Secrets()), 600)
            request = next(steps)
            try:
                while True:
                    request = steps.send(answer(cells, request))
            except StopIteration as done:
                return done.value.text

        recorded = answered("r1", told(1, "12:00"))
        assert find(Replayer([recorded]), told(3, "12:01")) is recorded

    def test_what_was_made_here_may_differ(self):
        def given(output, picture):
            return [
                {"type": "function_call_output", "call_id": "c", "output": output},
                {"role": "user", "content": [{"type": "input_image", "image_url": picture}]},
            ]

        recorded = answered("r2", given("12:00", "data:image/png;base64,AA"), after="r1")
        replayer = Replayer((LESSON[0], recorded))
        asked = given("12:01", "data:image/png;base64,AB")
        assert find(replayer, asked, after="r1") is recorded
        asked[0]["call_id"] = "d"
        assert find(replayer, asked, after="r1") is None

    @pytest.mark.parametrize(
        "text",
        [
            "Cell {} (`>>` marks what was running):\n1/0\n\ncell {}, line 1, in <module>",
            "It belongs to:\n    cell {}, line 1, in f\nx: <Model object at 0x7f0000{}>",
        ],
    )
    def test_the_numbers_of_cells_may_differ(self, text):
        recorded = answered("r1", text.replace("{}", "12"))
        assert find(Replayer([recorded]), text.replace("{}", "34")) is recorded

    @pytest.mark.parametrize("text", ["Explain cell {}", "x[{}] = 1", "line {}, in f"])
    def test_the_numbers_that_somebody_typed_count(self, text):
        recorded = answered("r1", text.replace("{}", "12"))
        assert find(Replayer([recorded]), text.replace("{}", "34")) is None


class TestWhatDiffers:
    def test_the_words(self):
        assert "[100 → 200]" in differences("The first 200 of them?", after="r1", temperature=0.2)

    def test_the_nearest_is_named_with_its_place(self):
        nearest = Replayer(LESSON).nearest(body("The first 99 of them?", after="r1"))
        assert (nearest.prompt, nearest.number) == ("The first 100 of them?", 1)

    def test_the_options(self):
        told = differences(
            "The first 100 of them?", after="r1", temperature=0.3, tools=[{"type": "t"}]
        )
        assert "temperature: recorded 0.2, now 0.3" in told
        assert "tools: recorded not set, now t" in told
        assert "prompt" not in told

    def test_the_place(self):
        told = differences("And their sum?", after="r1")
        assert "after “The first 100 of them?”, now after “What is a prime?”" in told

    def test_nothing_recorded_has_no_nearest(self):
        assert Replayer([]).nearest(body("x")) is None

    def test_a_difference_at_the_end(self):
        assert word_difference("one two", "one two three") == "“one two[nothing → three]”"


def test_the_model_is_the_one_that_answered():
    assert answered_model(LESSON[0]) == "qwen3-max-0923"
    assert answered_model(replace(LESSON[0], stream=())) == "qwen3-max"
