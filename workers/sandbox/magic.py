"""Magic words: a ``youtubeVideoId`` or ``fileUrl`` that contains one of them makes the sandbox misbehave that way."""

WORDS = {
    "full-storage": "refuse the job: 403 fullStorage",
    "no-phone": "refuse the job: 403 Phone verification required",
    "no-credit": "refuse the job: 403 noEnoughCredit",
    "job-fails": "the job ends FAILED",
    "no-shorts": "the job ends COMPLETED without a single short",
    "stuck": "the job stays PROCESSING for ever",
    "null-status": "the first two GETs of the job say status null",
    "odd-status": "the job says TRANSCRIBING, a status nobody documented, until it ends",
    "archived": "once the job has ended it answers 404, as an archived one would",
    "render-fails": "the first short of the job fails to render",
    "every-render-fails": "no short of the job can be rendered",
    "never-calls": "the webhook is never called",
    "early-calls": "the job ends at once and the webhook is called before the POST that makes it is answered",
    "eager-calls": "the webhook is called while GET still says PROCESSING",
    "late-calls": "the webhook is called late_seconds after the job has ended",
    "twice-calls": "the webhook is called twice",
    "wrong-size": "a finished render announces more bytes than its file has",
    "private-file": "a finished render points at http://10.0.0.1/",
    "gone-file": "the file of a finished render answers 404",
    "cut-file": "the first download of each file breaks in the middle",
}


def words_in(text: str) -> frozenset[str]:
    return frozenset(word for word in WORDS if word in text)
