"""Ranks that run one function together: the gang as the notebook sees it, and what stands beside a worker."""
