"""The program of the process that `LocalServer` starts: llama.cpp's own server, out of xllamacpp.

It is run as a file, and imports nothing of this package. On stdin comes a line of JSON:

    {"weights": "/path/model.gguf", "model": "model", "threads": 1, "key": "…"}

and on stdout goes one, when the server listens:

    {"url": "http://127.0.0.1:40123", "tokens_per_second": 21.3}

Then it serves until its stdin ends, which it does when the process that started it ends, in
whatever way. Where the weights cannot be loaded it dies of an exception, llama.cpp's words before.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# Tokens of a conversation. A model that was trained for fewer is held to those (llama.cpp caps
# each slot); all 32,768 of a small Qwen would take 400 MB beside the weights.
CONTEXT = 8192


def main() -> None:
    given = json.loads(sys.stdin.readline())
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints goes to the log
    import xllamacpp

    server = xllamacpp.Server(_parameters(xllamacpp.CommonParams(), given))
    # The answer's first words would wait for this anyway: the weights' pages are read here.
    trial = {"prompt": "One, two, three,", "n_predict": 4, "model": given["model"]}
    timings = server.handle_completions(trial)["timings"]
    ready = {
        "url": server.listening_address,
        "tokens_per_second": timings["predicted_per_second"],
    }
    replies.write(json.dumps(ready) + "\n")
    replies.flush()
    sys.stdin.read()
    os._exit(0)  # a running answer is not waited for


def _parameters(parameters: Any, given: dict[str, Any]) -> Any:
    parameters.model.path = given["weights"]
    parameters.model_alias = {given["model"]}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0  # a free one
    parameters.api_keys = [given["key"]]
    parameters.ui = False
    parameters.cpuparams.n_threads = given["threads"]
    parameters.cpuparams_batch.n_threads = given["threads"]
    parameters.n_threads_http = 4
    parameters.n_parallel = 2  # answers at once: a cell's, and one in the background
    parameters.n_ctx = CONTEXT
    parameters.kv_unified = True  # each of the two may have all of the context
    parameters.cache_ram_mib = 256  # of earlier conversations; llama.cpp's own limit is 8 GiB
    parameters.verbosity = 1  # errors
    return parameters


if __name__ == "__main__":
    main()
