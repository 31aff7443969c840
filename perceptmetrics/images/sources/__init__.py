"""Where images come from: files, folders, patterns, and files that hold many (WebDataset tar, Parquet).

Every source becomes a stream of `NamedImage`. Each kind of file that holds many images is one entry in the table of
`perceptmetrics.images.sources.parts`; code that scores, on this machine or on a cluster, does not know these kinds.
"""

from __future__ import annotations

from perceptmetrics.images.sources.named import NamedImage, ReadOptions
from perceptmetrics.images.sources.parts import Part, find_parts, find_sources, is_container, read_part

__all__ = ["NamedImage", "Part", "ReadOptions", "find_parts", "find_sources", "is_container", "read_part"]
