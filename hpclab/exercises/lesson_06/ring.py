"""A ring of chunks replayed: who has added whose values to which chunk, step by step."""

from __future__ import annotations

from collections.abc import Mapping

RANKS = (4, 2, 3, 5, 6, 7, 8, 9)  # 4 first: what is said of it is the easiest to follow


def replay(said: Mapping[tuple, int]) -> str:
    """What is wrong with a ring in which (rank, ranks, step) sends that chunk, in a sentence; or nothing."""
    for (rank, ranks, step), chunk in said.items():
        if not 0 <= chunk < ranks:
            return (
                f"Rank {rank} of {ranks} sends chunk {chunk} in step {step}, but chunks are 0 to "
                f"{ranks - 1}: is the % ranks missing?"
            )
    return next(filter(None, (_replayed(ranks, said) for ranks in RANKS)), "")


def _replayed(ranks: int, said: Mapping[tuple, int]) -> str:
    """What is wrong with the ring on `ranks` ranks, or nothing. A sum is a list of whose values are in it."""
    held = [[[rank] for _ in range(ranks)] for rank in range(ranks)]
    for step in range(ranks - 1):
        sent = [(said[rank, ranks, step], rank) for rank in range(ranks)]
        parcels = [(chunk, (rank + 1) % ranks, held[rank][chunk][:]) for chunk, rank in sent]
        for chunk, target, parcel in parcels:
            if twice := set(parcel) & set(held[target][chunk]):
                return (
                    f"On {ranks} ranks, step {step}: rank {target} gets chunk {chunk} with rank "
                    f"{min(twice)}'s values, and has them already, so they count twice. Who sends in a step "
                    "what it got in the step before never sends anything twice."
                )
            held[target][chunk] += parcel
    whole = [{c for c in range(ranks) if len(held[rank][c]) == ranks} for rank in range(ranks)]
    if all(rank in whole[rank] for rank in range(ranks)):
        return ""
    shift = {(min(chunks) - rank) % ranks for rank, chunks in enumerate(whole) if len(chunks) == 1}
    if len(shift) == 1 and all(len(chunks) == 1 for chunks in whole):
        return (
            f"A right ring, but on {ranks} ranks rank 0 ends with the whole sum of chunk {min(whole[0])}, "
            "and rank 0 is to own chunk 0. Everybody must begin with another chunk."
        )
    return (
        f"On {ranks} ranks, after {ranks - 1} steps, the fullest sum on rank 0 has the values of "
        f"{max(map(len, held[0]))} of {ranks} ranks. In step s a rank must pass on the chunk that it "
        "received in step s − 1."
    )
