"""Items: attributes, vocabulary and the text that the retriever reads."""
