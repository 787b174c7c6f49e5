"""Names of the files and folders of a served set."""

TEXT_RETRIEVER = "text_retriever"


ITEM_EMBEDDINGS = "item_embeddings"
LEXICAL_INDEX = "lexical_index"
ITEM_TABLE = "item_table"


ITEM_TOWER = "item_tower"


ITEM_INDEX = "item_index"


USER_TOWER = "user_tower"


RERANKER = "reranker"


VOCABULARY = "vocabulary.json"


PROFILES = "user_profiles.parquet"


CARDS = "cards.parquet"


EVENTS = "events.parquet"


SAMPLES = "samples.parquet"
