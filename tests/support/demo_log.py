"""What an embedded demo server was asked."""


def asked(server):
    """The records of its questions, in order of arrival."""
    return [record for record in server.requests if record.path.endswith("/responses")]
