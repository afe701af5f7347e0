"""What `%qwen_local` says of itself."""

from pathlib import Path

import pytest

from qwen_magic.errors import OptionError, UsageError
from qwen_magic.local import LocalServer
from qwen_magic.magics.service import ServiceMagics, local_state


@pytest.mark.parametrize(
    ("threads", "speed", "cores", "words"),
    [
        (1, 21.4, 2, "tiny answers on this machine, with 1 thread: about 21 tokens a second."),
        (1, 0.53, 8, "about 0.53 tokens a second, which is slow. --threads 8 would use all"),
        (8, 2.0, 8, "with 8 threads: about 2 tokens a second, which is slow. A smaller model"),
    ],
)
def test_where_it_is_slow_it_says_so(threads, speed, cores, words):
    server = LocalServer(Path("/models/tiny.gguf"), threads)
    server.tokens_per_second = speed
    assert words in local_state(server, cores)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("a.gguf b.gguf", UsageError),
        ("a.gguf --threads 0", OptionError),
        ("a.gguf --threads many", OptionError),
        ("--what", OptionError),
    ],
)
def test_a_wrong_line(line, error):
    with pytest.raises(error):
        ServiceMagics.qwen_local(None, line)
