"""The language model: client, prompts' frame, batch runner and its store of answers."""
