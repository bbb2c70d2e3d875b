"""Decisions as lines for people and as JSON."""

from gateway.walkup.decided import Decided

Line = dict[str, object]


def as_json(decided: Decided, person: str | None) -> Line:
    """One decision's line. ``person`` is what to call whoever was recognised; None for a stranger."""
    return {
        "kind": decided.kind,
        "person": person,
        "reason": decided.reason.value if decided.reason else None,
        "score": _rounded(decided.score),
        "liveness": _rounded(decided.live),
        "frame_time_s": _rounded(decided.media_time_s),
        "latency_ms": round(decided.latency_ms, 1),
        "access_point": decided.access_point_id,
        "outcome": decided.outcome.value if decided.outcome else None,
        "first_usable_ms": _rounded(decided.first_usable_ms, 1),
        "frame_at": decided.captured_at,
        "samples": [
            {
                "frame_time_s": _rounded(s.media_time_s),
                "score": _rounded(s.score),
                "liveness": _rounded(s.live),
                "quality": _rounded(s.quality),
            }
            for s in decided.samples
        ],
    }


def as_text(decided: Decided, person: str | None, latency_ms: float) -> str:
    """One decision for a person to read."""
    if decided.kind == "granted":
        what = f"GRANTED  {person or 'unknown'}"
        end = f"door {decided.outcome.value if decided.outcome else '?'}, frame to relay"
    else:
        what = f"DENIED   {person or 'stranger'} ({decided.reason.value if decided.reason else '?'})"
        end = "door stays shut, frame to decision"
    score = "  -  " if decided.score is None else f"{decided.score:5.2f}"
    live = "  -  " if decided.live is None else f"{decided.live:5.2f}"
    return f"{what:<48} score {score}  liveness {live}  {end} {latency_ms:.0f} ms"


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(float(value), digits)
