"""Vector indexes behind one protocol: exact, ChromaDB, pgvector."""
