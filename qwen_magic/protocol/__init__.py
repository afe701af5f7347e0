"""The Responses API on the wire, sans-IO: bytes in, events out, one state.

    bytes -> sse.SSEDecoder -> stream.EventDecoder -> events.Event -> state.ResponseState
                                 decoding, bodies: JSON -> Event
                                                      entries, entry, growing: one output item each
    request.ResponseRequest -> JSON body

Nothing here knows a socket, a clock, a thread or a display.
"""
