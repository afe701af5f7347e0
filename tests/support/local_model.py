"""Stand-ins for what `%qwen_local` uses: the library that serves a model, and the hubs."""

import hashlib
import http.server
import json
import threading
from contextlib import contextmanager

from qwen_magic.local import FILE

# A library that "serves" any file that begins with GGUF, and tells what it was given.
LIBRARY = """
import http.server, json, os, sys, threading

class _Fields:
    def __getattr__(self, name):
        self.__dict__[name] = _Fields()
        return self.__dict__[name]

CommonParams = _Fields

class Server:
    def __init__(self, given):
        print("the library says something")
        if open(given.model.path, "rb").read(4) != b"GGUF":
            sys.stderr.write("0.00.016.773 E gguf_init_from_reader: no magic\\n")
            sys.stderr.write("0.00.016.889 E srv    load_model: failed to load model\\n")
            raise RuntimeError("Failed to init server, please check the input params.")
        told = {"threads": given.cpuparams.n_threads, "host": given.hostnames,
                "key": given.api_keys, "argv": sys.argv, "pid": os.getpid()}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(told).encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listening_address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def handle_completions(self, body):
        return {"timings": {"predicted_per_second": 21.5}}
"""


WEIGHTS = b"GGUF" + bytes(range(256)) * 4000
SIZE = len(WEIGHTS)
SUM = hashlib.sha256(WEIGHTS).hexdigest()


@contextmanager
def site(pages):
    """A site of `pages`: path -> bytes, or the address that it redirects to. `asked` are the
    requests so far: (path, headers)."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            page = pages.get(self.path)
            self.send_response(404 if page is None else 302 if isinstance(page, str) else 200)
            if isinstance(page, str):
                self.send_header("Location", page)
            body = page if isinstance(page, bytes) else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def listing(digest=SUM, size=SIZE):
    """As the first hub tells it: two files, one of them the weights."""
    rows = [
        {"type": "file", "path": "README.md", "size": 1, "oid": "a" * 40},
        {
            "type": "file",
            "path": FILE,
            "size": size,
            "oid": "b" * 40,
            "lfs": {"oid": digest, "size": size, "pointerSize": 134},
        },
    ]
    return json.dumps(rows).encode()


def second_listing():
    """As the second hub tells it."""
    rows = [{"Path": FILE, "Name": FILE, "Size": len(WEIGHTS), "Sha256": SUM, "Type": "blob"}]
    return json.dumps({"Code": 200, "Data": {"Files": rows}, "Success": True}).encode()
