"""Tables of the user's notebook: read out of a prompt, asked about, answered by pandas code."""
