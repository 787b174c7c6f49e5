"""Where a training computes."""


def device_of(name: str) -> str:
    """Return the device that ``encoder.device`` names: for a step on a GPU, the one it was lent.

    >>> device_of("auto"), device_of("cuda:1")
    ('cpu', 'cuda:1')
    """
    return "cpu" if name == "auto" else name
