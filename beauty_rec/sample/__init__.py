"""The synthetic sample: reviews, items and profiles of any size, in the native layout.

>>> from pathlib import Path
>>> from beauty_rec.settings import SampleSettings
>>> files = write_sample(Path("data/raw"), SampleSettings(reviews=500, items=80))  # doctest: +SKIP
>>> is_synthetic(files.reviews)                                                    # doctest: +SKIP
True

People have latent tastes (skin, hair, concerns, scent, budget, occasions, favourite departments);
tastes decide what they buy, how they rate it and what they write. The order of making:
``catalogue`` and ``tastes`` -> ``choices`` (who buys what, when) -> ``texts`` and ``metadata``
(rendered row by row while ``files`` writes) with a pinch of ``flaws``.
"""

from beauty_rec.sample.files import SampleFiles, has_sample, is_synthetic, write_sample

__all__ = ["SampleFiles", "has_sample", "is_synthetic", "write_sample"]
