"""The documented forms differ by page and by age; a job keeps one of these for life, its renders included."""

DIALECTS = {
    "g1": "older docs: jobId, int short ids, title, data.shorts; renders fail with a numeric status [GJ1, REN1]",
    "g2": "newer docs: id, string short ids, content, progress 0 to 100, null costs; no render queue [GJ2, REN2]",
    "g3": "as g2, with the render queue and type error [GJ2, REN3, GR3]",
    "kb": "knowledge base: top-level shorts with start and end, string ids that look like numbers [KB]",
    "common": "the common fields: id and createdAt, int short ids; failed renders have type failed [SEED1, GR1]",
    "third": "what other clients expect: times as text, render status COMPLETED or FAILED [N8N-B, EXPR, DART]",
}


def short_id(dialect: str, number: int, name: str) -> int | str:
    """``number`` counts from 1; ``name`` is random text. The JSON type is part of the id."""
    match dialect:
        case "g2" | "g3":
            return f"sh_{name}"
        case "kb":
            return str(number)
        case _:
            return number
