"""Where an asset is described: a link on its page."""

import dagster as dg

PAGE, ANCHOR = "architecture", "the-graph"


def docs_link(docs_url: str | None = None) -> dict[str, dg.MetadataValue]:
    """Return the metadata that leads to the table of the assets.

    Args:
        docs_url: where the site of `make docs` stands; None: the page in the repository is named.
    """
    if docs_url is None:
        return {"docs": dg.MetadataValue.path(f"docs/{PAGE}.md#{ANCHOR}")}
    return {"docs": dg.MetadataValue.url(f"{docs_url.rstrip('/')}/{PAGE}.html#{ANCHOR}")}
