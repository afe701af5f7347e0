"""The network: a request goes out, a stream of events comes back.

    ResponseRequest -> client.Client.stream -> stream.Stream (on the engine's loop)
      attempt:  http.Http.open -> bytes -> reader.AnswerReader -> events, or one QwenError
      failure:  error_body -> error_map (a service's refusal);  transport_errors (no answer)
      again:    stream.Backoff, only where nothing can have begun
    stop:     stream.Canceller: once, and when it is safe
    events -> engine.ThreadQueue -> the consumer's thread

`http.py` is the only one that imports httpx2. To import this package costs httpx2's import time:
the other rooms do it when the first request is made.
"""

from qwen_magic.client.client import Client
from qwen_magic.client.stream import Backoff, Stream

__all__ = ["Backoff", "Client", "Stream"]
