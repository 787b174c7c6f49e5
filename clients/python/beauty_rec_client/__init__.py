"""A typed client of the HTTP API of beauty_rec, for threads and for asyncio.

>>> with Client("http://127.0.0.1:8000") as shop:  # doctest: +SKIP
...     shop.recommend(RecommendRequest(context="a rose soap", k=5)).items[0].title
"""

from beauty_rec_client.errors import (
    ApiError,
    Forbidden,
    NotFound,
    NotValid,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from beauty_rec_client.methods import AsyncClient, Client
from beauty_rec_client.models import *  # noqa: F403
from beauty_rec_client.models import __all__ as _models

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Forbidden",
    "NotFound",
    "NotValid",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
]
__all__ += _models
