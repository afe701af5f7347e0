"""Recordings: real answers kept in a file, and given again from it. No socket, clock or display.

    live      client -> server -> bytes ----------------------> reader, turn, view, chain
                          '--- take.Take: [milliseconds, frame] -> Exchange -> a line of the file
    replayed  client -> replay.Replayer: the recorded exchange -> bytes -> the same reader, turn, …

An exchange is one request with what came back; a recording is a header and exchanges in the order
in which they ended. All HTTP of the package passes one place, `client.tape`, which hands bytes and
times to a `Take`, or asks a `Replayer` and plays its exchange in place of the network: everything
after it is the same code as live. `session.tape` says what is recorded or replayed, and keeps the
one exchange that `--cache` has in the store.

- **Matching** (`replay`): an exchange answers a request with the same model, input and options at
  the same place in the chain. The place is what was asked before, not an id: the id that a request
  continues after stands for the exchange that gave it.
- **Keys** are masked before a line is written; request headers are never looked at.
- **A recording is a foreign file.** It is read strictly. Its answers pass the decoder as a server's
  do. Its turns are marked `imported` and held with a host of their own (`Endpoint.recorded`), so
  that no id, call or usage of it ever counts anywhere else.
"""
