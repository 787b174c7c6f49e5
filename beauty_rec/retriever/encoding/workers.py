"""An encoder as a process elsewhere makes it, where a model's folder may not stand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from beauty_rec.artifacts import files_of
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.settings import EncoderSettings

TEXT, VECTOR = "text", "vector"


@dataclass(frozen=True)
class Model:
    """A model by its name, or the files of its folder, by their names in it."""

    name: str
    files: dict[str, bytes]

    @classmethod
    def of(cls, source: str | Path) -> "Model":
        """Return the model of a name or of a folder, whose files are read."""
        folder = Path(source)
        if not folder.is_dir():
            return cls(str(source), {})
        files = {name: path.read_bytes() for name, path in files_of(folder).items()}
        return cls(folder.name, files)

    def load(self, settings: EncoderSettings) -> TextEncoder:
        """Return its encoder; see :meth:`TextEncoder.load`."""
        if not self.files:
            return TextEncoder.load(self.name, settings)
        with TemporaryDirectory(prefix="encoder-") as parent:
            folder = Path(parent) / self.name
            for name, content in self.files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return TextEncoder.load(folder, settings)


def item_encoder(
    model: Model, settings: EncoderSettings, quantized: bool
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what makes of a frame with ``text`` one with the ``vector`` of each row."""
    encoder = model.load(settings)

    def encode(frame: pl.DataFrame) -> pl.DataFrame:
        vectors = encoder.encode_items(frame[TEXT].to_list(), quantized=quantized)
        kind = pl.Array(pl.Float32, encoder.dimension)
        return pl.DataFrame({VECTOR: vectors}, schema={VECTOR: kind})

    return encode
