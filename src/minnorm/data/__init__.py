"""Labeled data sets: data sets named by a spec, the catalogue of those to fetch, the cache."""

from minnorm.data.cache import cache_folder, is_cached
from minnorm.data.catalogue import CATALOGUE, fetch
from minnorm.data.dataset import Batch, Data, from_arrays
from minnorm.data.items import from_map_dataset
from minnorm.data.load import DATA_FORMS, as_data, load_data
from minnorm.data.summary import description

__all__ = [
    "CATALOGUE",
    "DATA_FORMS",
    "Batch",
    "Data",
    "as_data",
    "cache_folder",
    "description",
    "fetch",
    "from_arrays",
    "from_map_dataset",
    "is_cached",
    "load_data",
]


def __dir__() -> list[str]:
    return __all__
