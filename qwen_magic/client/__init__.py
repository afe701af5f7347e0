"""The network: a request goes out, a stream of events comes back.

    ResponseRequest -> client.Client.stream -> stream.Stream (on the engine's loop)
      attempt:  http.Http.open -> bytes -> reader.AnswerReader -> events, or a retry.AttemptError
      failure:  faults (error bodies) -> failures (the table) -> one error;  outages (no answer);
                secrecy (no key in either)
      again:    retry.Backoff, only where nothing can have begun
    stop:     cancelling.Canceller: once, and when it is safe
    events -> handoff.Handoff -> the consumer's thread

`http.py` is the only one that imports httpx2. To import this package costs httpx2's import time:
the other rooms do it when the first request is made.
"""

from qwen_magic.client.client import Client
from qwen_magic.client.reader import Received
from qwen_magic.client.retry import Backoff
from qwen_magic.client.stream import Stream

__all__ = ["Backoff", "Client", "Received", "Stream"]
