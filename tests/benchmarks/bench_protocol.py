"""Reading a stream: CPU per event as ratios to `json.loads`, and to the openai SDK, in one run.

    python tests/benchmarks/bench_protocol.py

The stream is 3,350 text deltas (about 40 KB of text) in DashScope's framing. The SDK line is the
parsing that its `Stream` does with each event: decode, `json.loads`, build the typed event.
"""

import json
import random
import time

from openai._models import construct_type
from openai._streaming import SSEDecoder as OpenAIDecoder
from openai.types.responses import ResponseStreamEvent

from qwen_magic.protocol.body import EventDecoder
from qwen_magic.protocol.state import ResponseState

DELTAS = 3_350
ITEM = "msg_16db29d6-c1d3-47d7-9177-0fba81964xxx"


def payloads() -> list[str]:
    chance = random.Random(1)
    item = {"id": ITEM, "content": [], "role": "assistant", "status": "in_progress"}
    events: list[dict[str, object]] = [
        {"response": {"id": "r", "status": "queued"}, "type": "response.created"},
        {"item": {**item, "type": "message"}, "type": "response.output_item.added"},
    ]
    for _ in range(DELTAS):
        delta = "".join(chance.choice("abcde fghij klmnop") for _ in range(chance.randint(4, 20)))
        event = {"content_index": 0, "delta": delta, "item_id": ITEM, "logprobs": []}
        events.append({**event, "type": "response.output_text.delta"})
    events.append({"response": {"id": "r", "status": "completed"}, "type": "response.completed"})
    for number, event in enumerate(events):
        event |= {"output_index": 0, "sequence_number": number}
    return [json.dumps(event, separators=(",", ":")) for event in events]


def frame(number: int, payload: str) -> bytes:
    kind = json.loads(payload)["type"]
    return f"id:{number}\nevent:{kind}\n:HTTP_STATUS/200\ndata:{payload}\n\n".encode()


def cpu(action, runs: int = 9) -> float:
    """Microseconds of process time per event, the best of some runs."""
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        action()
        best = min(best, time.process_time() - began)
    return best / DELTAS * 1e6


def main() -> None:
    data = payloads()
    body = b"".join(frame(number, payload) for number, payload in enumerate(data, 1))
    chunks = [body[at : at + 4096] for at in range(0, len(body), 4096)]

    def ours() -> None:
        decoder, state = EventDecoder(), ResponseState()
        for chunk in chunks:
            for event in decoder.feed(chunk):
                state.apply(event)
        assert state.terminal

    def openai_sdk() -> None:
        for event in OpenAIDecoder().iter_bytes(iter(chunks)):
            construct_type(type_=ResponseStreamEvent, value=json.loads(event.data))

    bare = cpu(lambda: [json.loads(payload) for payload in data])
    for name, took in (("qwen_magic", cpu(ours)), ("openai SDK", cpu(openai_sdk, 3))):
        print(f"{name:12} {took:6.1f} us an event  {took / bare:5.1f} x json.loads ({bare:.1f} us)")


if __name__ == "__main__":
    main()
