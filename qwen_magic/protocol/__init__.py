"""The Responses API on the wire, sans-IO: bytes in, events out, one state.

    bytes -> sse.SSEDecoder -> body.EventDecoder -> events.Event -> state.ResponseState
               decode:   JSON -> Event, of     items, response:  its parts
               entries:  the item an event speaks of; entry: one of them, with its
                         text.TextAccumulator; entries, thinking: without the thinking
    request.ResponseRequest -> JSON body, with input_items in the form that every server takes;
    call_outputs: what is sent back for function calls

Nothing here knows a socket, a clock, a thread or a display.
"""
