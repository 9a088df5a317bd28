"""A ring of chunks replayed: who has added whose values to which chunk, step by step."""

from collections.abc import Mapping

from hpclab.exercises import Verdict, judges

_RANKS = (4, 2, 3, 5, 6, 7, 8, 9)  # 4 first: what is said of it is the easiest to follow
_YES = (
    "Replayed on 2 to 9 ranks: after p − 1 steps each rank holds the whole sum of its own chunk. That is the "
    "reduce-scatter of ZeRO and FSDP, where each rank owns the shard that carries its number."
)


def by_replay(answer: object) -> Verdict:
    """A function that says which chunk a rank sends in a step, replayed on 2 to 9 ranks."""
    events = [(rank, ranks, step) for ranks in _RANKS for step in range(ranks - 1) for rank in range(ranks)]
    sent = judges.called(
        "chunk_to_send(rank, ranks, step)", "the number of a chunk, a whole number", answer, events,
        lambda value: judges.is_number(value) and not isinstance(value, float),
    )  # fmt: skip
    said = dict(zip(events, sent, strict=True))
    for (rank, ranks, step), chunk in said.items():
        if not 0 <= chunk < ranks:
            where = f"Rank {rank} of {ranks} sends chunk {chunk} in step {step}"
            return Verdict(False, f"{where}, but chunks are 0 to {ranks - 1}: is the % ranks missing?")
    wrong = next(filter(None, (_replayed(ranks, said) for ranks in _RANKS)), "")
    return Verdict(not wrong, wrong or _YES)


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
                    f"{min(twice)}'s values, and has them already, so they count twice. Send what came in "
                    "the step before."
                )
            held[target][chunk] += parcel
    whole = [{c for c in range(ranks) if len(held[rank][c]) == ranks} for rank in range(ranks)]
    if all(rank in whole[rank] for rank in range(ranks)):
        return ""
    if all(len(chunks) == 1 for chunks in whole):
        rank = next(rank for rank, chunks in enumerate(whole) if rank not in chunks)
        return (
            f"A right ring, but on {ranks} ranks rank {rank} ends with the whole sum of chunk "
            f"{min(whole[rank])}, and is to own chunk {rank}. Everybody must begin with another chunk."
        )
    return (
        f"On {ranks} ranks, after {ranks - 1} steps, the fullest sum on rank 0 has the values of "
        f"{max(map(len, held[0]))} of {ranks} ranks. In step s a rank must pass on the chunk that it "
        "received in step s − 1."
    )
