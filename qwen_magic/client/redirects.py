"""Which redirects are followed: only those that stay with the host that was asked.

Keys and prompts go to the host that the user named, and nowhere else.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from qwen_magic.client.retry import AttemptError
from qwen_magic.errors import ProtocolError, RedirectRefusedError

MOST: Final = 3
# 302 and 303 ask for a GET: a prompt that was posted must not become a page that is read.
_KEEP_METHOD: Final = frozenset({301, 307, 308})
STATUSES: Final = _KEEP_METHOD | {302, 303}
_PORTS: Final = {"http": 80, "https": 443}


def redirected(method: str, url: str, status: int, location: str) -> str:
    """The URL to ask in place of `url`. Raises `AttemptError` where it may not be followed."""
    try:
        target = urlsplit(urljoin(url, location))
        same = _same_server(urlsplit(url), target)
    except ValueError as exc:
        raise AttemptError(
            ProtocolError(f"{urlsplit(url).netloc} redirects to an address that cannot be read.")
        ) from exc
    if not same:
        raise AttemptError(
            RedirectRefusedError(
                f"{urlsplit(url).netloc} redirects to another server, {_name(target)}.",
                why="Key and prompt were not sent there.",
                hint="If that is the right one, give its URL as the endpoint.",
            )
        )
    if method != "GET" and status not in _KEEP_METHOD:
        raise AttemptError(
            ProtocolError(
                f"{target.netloc} answered with a redirect to {target.path or '/'} ({status}), "
                "not with a response.",
                hint="Check the base URL; a login page may stand before the service.",
            )
        )
    return target.geturl()


def too_many(url: str) -> AttemptError:
    return AttemptError(
        ProtocolError(
            f"{urlsplit(url).netloc} redirects in a circle.", hint="Check the endpoint's base URL."
        )
    )


def _same_server(old: SplitResult, new: SplitResult) -> bool:
    """The same host and port by the same scheme, or http -> https."""
    if new.username or new.password or old.hostname != new.hostname:
        return False
    same_port = _port(old) == _port(new)
    if old.scheme == new.scheme:
        return same_port
    upgrade = (old.scheme, new.scheme) == ("http", "https")
    return upgrade and (same_port or (_port(old), _port(new)) == (80, 443))


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 0)


def _name(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.split('@')[-1]}"
