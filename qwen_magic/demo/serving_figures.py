"""Sends a figure, or fails to in the way that its mode says."""

from __future__ import annotations

from qwen_magic.demo.connection import ClientGoneError
from qwen_magic.demo.exchange import Exchange
from qwen_magic.demo.figures import KeptFigure
from qwen_magic.demo.http11 import Reply

HUGE = 50 * 1024 * 1024  # bytes
_PIECE = 256 * 1024
_DRIP = 1.0  # seconds between two bytes
_GONE = b"<Error><Code>NoSuchKey</Code><Message>Gone or expired.</Message></Error>"
_PAGE = b"<!DOCTYPE html>\n<html><body>Please log in to the network.</body></html>\n"


async def send_figure(exchange: Exchange, figure: KeptFigure | None) -> None:
    """Answer the request for a figure; None: it is gone. Raises `ClientGoneError`."""
    if figure is None:
        await exchange.reply(Reply(404, _GONE, "application/xml"))
        return
    match figure.mode:
        case "html":
            await exchange.reply(Reply(200, _PAGE, "text/html; charset=utf-8"))
        case "down":
            exchange.reset()
            raise ClientGoneError
        case "slow":
            await _drip(exchange, figure.png)
        case "huge":
            await _swell(exchange, figure.png)
        case _:
            await exchange.reply(Reply(200, figure.png, "image/png"))


async def _drip(exchange: Exchange, png: bytes) -> None:
    """A byte a second: no pause is long enough for a read timeout, but it takes for ever."""
    await exchange.open_stream("image/png")
    for place in range(len(png)):
        await exchange.send(png[place : place + 1])
        await exchange.pause(_DRIP)
    await exchange.end_stream()


async def _swell(exchange: Exchange, png: bytes) -> None:
    """A PNG with so much behind it; its length is not announced."""
    await exchange.open_stream("image/png")
    await exchange.send(png)
    for _ in range((HUGE - len(png)) // _PIECE + 1):
        await exchange.send(bytes(_PIECE))
    await exchange.end_stream()
