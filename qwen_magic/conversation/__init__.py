"""Conversations: turns linked to their parents, and where they are kept."""
