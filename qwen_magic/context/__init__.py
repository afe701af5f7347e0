"""What a prompt may carry: values of the notebook, tools, messages."""
