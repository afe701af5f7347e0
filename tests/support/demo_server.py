"""A demo server for a test, and what it was asked."""

from qwen_magic.demo import DemoServer


def demo_server(**switches):
    """A server that asks for no key and streams as fast as it can, to be entered by `with`."""
    return DemoServer(**{"key": "", "delay": 0.0, **switches})


def asked(server):
    """The records of its questions, in order of arrival."""
    return [record for record in server.requests if record.path.endswith("/responses")]
