"""Searching and reading the bundled pages."""

import re

import pytest

from qwen_magic.demo.pages import all_pages, evidence, find_pages, passages

SEARCH = [{"type": "web_search"}]
BOTH = [*SEARCH, {"type": "web_extractor"}]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("prime number theorem", "primes"),
        ("sieve of Eratosthenes", "primes"),
        ("Bessel's correction", "variance"),
        ("standard deviation", "variance"),
        ("previous_response_id conversation", "responses-api"),
        ("server-sent events", "responses-api"),
    ],
)
def test_the_best_page_comes_first(query, best):
    assert find_pages([query])[0].url == f"https://demo.invalid/{best}"


def test_what_no_page_is_about_is_not_found():
    assert find_pages(["zebra crossings"]) == ()


def test_passages_are_the_pages_own():
    primes = find_pages(["sieve of Eratosthenes"])[0]
    (passage,) = passages(primes, "the sieve of Eratosthenes")
    assert passage.startswith("The sieve of Eratosthenes finds all primes")


def test_an_extract_quotes_the_page():
    (found, known), output = evidence("https://demo.invalid/variance", "Bessel's correction")
    assert known
    assert all(passage in output for passage in found)
    assert "for user goal Bessel's correction as follows" in output


def of_type(response, kind):
    return [item for item in response["output"] if item["type"] == kind]


def test_a_search_item_has_queries_and_sources(client):
    response = client.ask("Search for the prime number theorem", tools=SEARCH)
    (call,) = of_type(response, "web_search_call")
    assert list(call["action"]) == ["type", "query", "queries", "sources"]
    assert call["action"]["query"] == call["action"]["queries"][0]
    assert call["action"]["sources"][0] == {"type": "url", "url": "https://demo.invalid/primes"}
    assert response["usage"]["x_tools"] == {"web_search": {"count": 1}}


def test_the_page_is_read_when_it_may_be(client):
    response = client.ask("Search for Bessel's correction", tools=BOTH)
    (call,) = of_type(response, "web_extractor_call")
    assert call["urls"] == ["https://demo.invalid/variance"]
    assert "Bessel's correction" in call["output"]
    assert list(response["usage"]["x_tools"]) == ["web_search", "web_extractor"]


def test_citations_count_through_all_searches(client):
    prompt = "Search what variance is and how the Responses API streams"
    response = client.ask(prompt, tools=SEARCH)
    calls = of_type(response, "web_search_call")
    assert len(calls) == 2
    urls = [source["url"] for call in calls for source in call["action"]["sources"]]
    titles = {page.url: page.title for page in all_pages()}
    text = of_type(response, "message")[0]["content"][0]["text"]
    cited = re.findall(r"\*\*(.+?)\*\*: .+ \[(\d+)\]", text)
    assert len(cited) > 1
    assert all(titles[urls[int(number) - 1]] == title for title, number in cited)


def test_a_question_that_a_page_answers_is_searched_for(client):
    response = client.ask("What is the prime number theorem?", tools=SEARCH)
    assert of_type(response, "web_search_call")


def test_nothing_found_is_said(client):
    response = client.ask("Search for zebra crossings", tools=BOTH)
    assert of_type(response, "web_search_call")[0]["action"]["sources"] == []
    assert not of_type(response, "web_extractor_call")
    assert "found nothing" in client.say("Search for zebra crossings", tools=SEARCH)


def test_a_page_of_the_real_web_is_not_read(client):
    response = client.ask("Read https://example.com/page", tools=BOTH)
    (call,) = of_type(response, "web_extractor_call")
    assert "could not be read" in call["output"]
