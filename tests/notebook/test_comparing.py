"""`--compare` in a real front end, and without one."""

import pytest
from demo_server import asked, demo_server
from real_jupyter import wait_until

CELL = "%%qwen --compare qwen3-max,qwen3.6-flash -o both\nExplain variance"


@pytest.mark.kernel
def test_answers_to_one_question_continue_after_the_same_turn(process, server):
    process.ok(f"%reload_ext qwen_magic\n%config QwenMagics.endpoint = '{server.base_url}'")
    process.ok("%qwen My name is John")
    ran = process.ok(CELL + "\n", "cell")
    process.ok("%qwen Do you remember my name?")
    process.ok("%qwen_pick main:2\n%qwen Thanks")
    first, *two, after, _ = asked(server)
    of = {record.body["model"]: record for record in two}
    assert set(of) == {"qwen3-max", "qwen3.6-flash"}
    assert {record.body["previous_response_id"] for record in two} == {first.response_id}
    assert after.body["previous_response_id"] == of["qwen3-max"].response_id, "it is kept"
    assert "qwen3.6-flash" in ran.result["text/html"]
    assert process.ok("both['qwen3-max'].text != both[1].text").result["text/plain"] == "True"
    process.ok("%unload_ext qwen_magic")


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_side_by_side_each_with_its_stop_and_one_is_kept(open_page):
    with demo_server(delay=0.02) as demo:
        setup = f"%load_ext qwen_magic\n%config QwenMagics.endpoint = {demo.base_url!r}"
        cells = [setup, CELL, "%%qwen\nThanks", "%%qwen --compare a,b\nGive me the tour."]
        cells += [
            f"pick = get_ipython().run_line_magic\npick('qwen_pick', both.refs[{n}])"
            for n in (0, 1)
        ]
        page = open_page("lab", "compare.ipynb", cells)
        page.run(0)
        page.run(1)
        answers = page.output(1).locator(".qm-saved:has(> .qm-label)")
        left, right = (answers.nth(place).bounding_box() for place in (0, 1))
        assert left["y"] == right["y"]
        assert left["x"] + left["width"] <= right["x"]
        answers.nth(0).get_by_text("✓ Kept").wait_for()
        answers.nth(1).get_by_text("Keep this one").click()
        answers.nth(1).get_by_text("✓ Kept").wait_for()
        answers.nth(0).get_by_text("Keep this one").wait_for()
        page.run(4)  # by hand, and back again
        answers.nth(0).get_by_text("✓ Kept").wait_for()
        page.run(5)
        answers.nth(1).get_by_text("✓ Kept").wait_for()
        page.run(2)
        last = asked(demo)[-1]
        told = {record.body["model"]: record.response_id for record in asked(demo)}
        assert last.body["previous_response_id"] == told["qwen3.6-flash"]

        page.run(3, wait=False)
        stops = page.output(3).locator(".qm-is-running .qm-stop:visible")
        wait_until(lambda: stops.count() == 2, 20, "both answers")
        stops.first.click()
        wait_until(lambda: page.output(3).locator(".qm-is-running").count() == 1, 20, "one stops")
        page.page.keyboard.press("Escape")
        page.page.keyboard.press("Escape")
        page.wait_for_cell(3)
        assert page.output(3).get_by_text("stopped", exact=True).count() == 2
        saved = page.save()
        assert [len(cell.outputs) for cell in saved.cells[1:4]] == [3, 1, 3]
        assert not page.errors
