"""What `%load_ext qwen_magic` costs a fresh process, beside importing the openai SDK.

python tests/benchmarks/bench_start.py
"""

import os
import statistics
import subprocess
import sys

CODE = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "autoreload")  # what loading any extension imports
began = time.process_time()
{}
print((time.process_time() - began) * 1000)
"""
WHAT = {
    "load_ext qwen_magic": 'shell.run_line_magic("load_ext", "qwen_magic")',
    "import openai": "import openai",
    "import httpx2": "import httpx2",
}


def main() -> None:
    environ = {**os.environ, "QWEN_MAGIC_WARM_UP": "False"}
    for name, code in WHAT.items():
        took = [
            float(
                subprocess.run(
                    [sys.executable, "-c", CODE.format(code)],
                    env=environ, capture_output=True, text=True, check=True,
                ).stdout
            )
            for _ in range(5)
        ]  # fmt: skip
        print(f"{name:22} {statistics.median(took):7.1f} ms of CPU")


if __name__ == "__main__":
    main()
