"""A demo server whose figures' links misbehave, as a test tells it to."""

from demo_server import LESSONS

from qwen_magic.demo import DemoServer

HUGE = 50 * 1024 * 1024  # bytes
PIECE = 256 * 1024  # in which it comes
DRIP = 1.0  # seconds between two bytes: no read timeout sees it, but it takes for ever
LOGIN = b"<!DOCTYPE html>\n<html><body>Please log in to the network.</body></html>\n"


class FigureServer(DemoServer):
    """`way`: served, html, down (the connection breaks), slow, huge, or elsewhere (a host that
    there is not)."""

    def __init__(self, way="served"):
        super().__init__(key="", delay=0.0, lessons=LESSONS)
        self.fail(way)

    def fail(self, way):
        self.way = way
        self.player.figure_host = (
            "http://figures.example.invalid" if way == "elsewhere" else self.url
        )

    def send_figure(self, client, png):
        if self.way == "html":
            client.reply(LOGIN, content_type="text/html; charset=utf-8")
        elif self.way == "down":
            client.reset()
        elif self.way == "slow":
            client.open_stream("image/png")
            for place in range(len(png)):
                client.send(png[place : place + 1])
                client.pause(DRIP)
        elif self.way == "huge":  # a PNG with so much behind it; its length is not announced
            client.open_stream("image/png")
            client.send(png)
            for _ in range((HUGE - len(png)) // PIECE + 1):
                client.send(bytes(PIECE))
            client.end_stream()
        else:
            super().send_figure(client, png)
