"""Labelled data: specs to data, the catalogue of what can be fetched, the cache."""

from minnorm.data.cache import cache_folder
from minnorm.data.catalogue import CATALOGUE, fetch
from minnorm.data.dataset import Batch, Data, from_arrays, from_map_dataset
from minnorm.data.load import FORMS, as_data, load_data

__all__ = [
    "CATALOGUE",
    "FORMS",
    "Batch",
    "Data",
    "as_data",
    "cache_folder",
    "fetch",
    "from_arrays",
    "from_map_dataset",
    "load_data",
]
