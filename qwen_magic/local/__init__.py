"""A real model on this machine: its weights, fetched when the user says so, and its server.

%qwen_local qwen       hub.fetch_weights -> a GGUF file in the user's data folder
%qwen_local FILE.gguf  server.LocalServer -> program.py in a process of its own -> /v1/responses
"""
