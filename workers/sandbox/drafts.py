"""Make the jobs and renders of the sandbox: here the dice fall, and never again afterwards."""

import math

from workers.sandbox.chance import Chance
from workers.sandbox.config import SandboxConfig
from workers.sandbox.dialects import short_id
from workers.sandbox.films import Film
from workers.sandbox.jobs import Job, Short
from workers.sandbox.renders import Render
from workers.sandbox.submissions import Clip, Submission

# A page that shows titles without escaping them, or cuts them between two bytes, is found out here.
_SCENES = (
    ("A strong claim", "and that is why I never looked back"),
    ("Why <b>bold</b> \"claims\" & 'quotes' work", "nobody reads the <script>alert(1)</script> small print"),
    ("Über Nacht 🌙 世界", "it was past midnight when the idea came"),
    ("The part everybody skips", "skip this and you will start again on Monday"),
    ("", "a short whose title the model left empty"),
)
_FIRST_START = 12.4
_STEP = 51.5


def draft_job(submission: Submission, *, config: SandboxConfig, chance: Chance, now: float) -> Job:
    words = submission.words | _drawn_words(config, chance)
    dialect = chance.turn("dialect", config.dialects)
    return Job(
        id=f"job_{chance.name(12)}",
        dialect=dialect,
        video=submission.video,
        title=submission.title,
        words=words,
        webhook=submission.webhook,
        body_form=chance.turn("body", config.body_forms),
        created_at=now,
        ends_at=_job_end(words, config, chance, now),
        fails="job-fails" in words,
        extras=config.extras and chance.turn("extras", (False, True, True)),
        shorts=_shorts(submission.clips or _clips(words, config), dialect, chance, chosen=not submission.clips),
    )


def draft_render(
    job: Job, short: Short, number: int, *, config: SandboxConfig, chance: Chance, now: float, files: str
) -> Render:
    """``number`` counts the renders of the sandbox from 0; ``files`` is the base URL of the film."""
    render_id = f"rnd_{chance.name(12)}"
    film = Film(render_id, chance.whole(*config.film_range))
    starts_at = now + _some(config.queue_seconds, config, chance)
    first_fails = "render-fails" in job.words and short is job.shorts[0]
    return Render(
        id=render_id,
        job_id=job.id,
        short=short.id,
        dialect=job.dialect,
        number=number,
        created_at=now,
        starts_at=starts_at,
        ends_at=starts_at + _render_time(config, chance),
        fails=first_fails or "every-render-fails" in job.words or chance.hits(config.render_fails),
        stalls=chance.hits(config.stalls),
        film=film,
        url=f"{'http://10.0.0.1' if 'private-file' in job.words else files}/media/{render_id}/out.mp4",
        size=film.size + (1000 if "wrong-size" in job.words else 0),
    )


def _drawn_words(config: SandboxConfig, chance: Chance) -> set[str]:
    fractions = {
        "job-fails": config.job_fails,
        "twice-calls": config.twice,
        "never-calls": config.never,
        "early-calls": config.early,
        "late-calls": config.late,
    }
    return {word for word, fraction in fractions.items() if chance.hits(fraction)}


def _job_end(words: frozenset[str], config: SandboxConfig, chance: Chance, now: float) -> float:
    duration = _some(config.job_seconds, config, chance)
    if "stuck" in words:
        return math.inf
    return now if "early-calls" in words else now + duration


def _some(mean: float, config: SandboxConfig, chance: Chance) -> float:
    return chance.spread(mean, config.spread) * config.time_scale


def _render_time(config: SandboxConfig, chance: Chance) -> float:
    if not config.render_tail:
        return _some(config.render_seconds, config, chance)
    return chance.tail(config.render_seconds, config.render_tail) * config.time_scale


def _clips(words: frozenset[str], config: SandboxConfig) -> tuple[Clip, ...]:
    count = 0 if "no-shorts" in words else config.shorts
    starts = (round(_FIRST_START + _STEP * number, 2) for number in range(count))
    return tuple(
        Clip(_SCENES[number % len(_SCENES)][0], start, round(start + 31.6, 2)) for number, start in enumerate(starts)
    )


def _shorts(clips: tuple[Clip, ...], dialect: str, chance: Chance, *, chosen: bool) -> tuple[Short, ...]:
    return tuple(
        Short(
            id=short_id(dialect, number + 1, chance.name(8)),
            title=clip.title,
            text=_SCENES[number % len(_SCENES)][1],
            start=clip.start,
            end=clip.end,
            chosen=chosen,
        )
        for number, clip in enumerate(clips)
    )
