"""The faults of a whole input file (a fault of one row goes to the quarantine instead)."""

from pathlib import Path


class CorpusFileError(ValueError):
    """An input file cannot be read at all; the message names the path and the remedy."""

    def __init__(self, path: Path, fault: str, remedy: str) -> None:
        super().__init__(f"{path}: {fault}. {remedy}")
        self.path = path
        self.fault = fault
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["CorpusFileError"], tuple[Path, str, str]]:
        """Pickle by the three parts: the default would pass the joined message only."""
        return type(self), (self.path, self.fault, self.remedy)
