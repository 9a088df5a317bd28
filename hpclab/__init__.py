"""hpclab: a course in high performance computing for AI that runs the real thing.

Importing the package costs next to nothing: a classroom imports it in the same minute. What a lesson
needs (torch, numba, dask, matplotlib) is loaded by the module that uses it, when it is used.
"""

__version__ = "0.1.0"

from hpclab import search_path

search_path.settle()
