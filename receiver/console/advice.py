"""What the state of a job means to a person, and what to do about it. Pure."""

from dataclasses import dataclass
from typing import Final

from workers.parking import group_of, why
from workers.states import JobState
from workers.views import JobView

_PENDING: Final = "pending"


@dataclass(frozen=True, slots=True)
class Advice:
    """``means``: one or two sentences. ``remedy``: what a person does; empty where nothing has to be done."""

    means: str
    remedy: str = ""


_OF_STATE: Final = {
    JobState.WAITING: Advice("Swiftia is at work. Its callback is awaited; without one it is asked from time to time."),
    JobState.FETCHING: Advice("Swiftia has called, and is asked for the result."),
    JobState.RENDERING: Advice("The result is kept. Its renders are made at Swiftia and brought home from there."),
    JobState.FINISHED: Advice("The result is kept, and every render is settled."),
    JobState.FAILED: Advice(
        "Swiftia says that the job failed, and for the reason that is named.",
        "Retry asks Swiftia once more how it stands. If that does not help, mend what the reason names and submit the "
        "video again.",
    ),
    JobState.PARKED: Advice(
        "Nothing goes on here until a person has looked.",
        "Mend what the reason names, then retry; it goes on where it stopped. What is of no use can be erased.",
    ),
}
_SUBMISSION: Final = {
    JobState.WAITING: Advice("The submission waits for its turn in the request allowance, or for Swiftia's answer."),
    JobState.FAILED: Advice(
        "Swiftia refused the submission, for the reason that is named.",
        "Mend what the reason names, then retry: the same submission is sent again.",
    ),
    JobState.PARKED: Advice(
        "Whether Swiftia has a job for this is not known here.",
        "Look for it in Swiftia's web application. If it is there, name it with PUT /api/jobs/<id> and this ref. If it "
        "is not, retry; a retry submits, and pays for, a job in any case.",
    ),
}
_RENDERS_FAILED: Final = Advice(
    "The result is kept, and every render is settled; some of them failed at Swiftia.",
    "Retry starts the failed ones once more.",
)


def advice(view: JobView) -> Advice:
    state = JobState(view.summary.state)
    if view.summary.id is None:
        return _SUBMISSION.get(state, _OF_STATE[state])
    if state is JobState.PARKED and view.summary.reason:
        told = why(group_of(view.summary.reason))
        return Advice(told.means, told.remedy)
    if state is JobState.FINISHED and view.summary.renders.failed:
        return _RENDERS_FAILED
    return _OF_STATE[state]


def can_retry(view: JobView) -> bool:
    """Whether something of it is parked or failed, so that a person may set it going again."""
    counts = view.summary.renders
    settled = view.summary.state == JobState.FINISHED
    return view.summary.state in (JobState.PARKED, JobState.FAILED) or (settled and counts.failed + counts.parked > 0)


def goes_on(view: JobView) -> bool:
    """Whether something can still happen to it by itself."""
    ended = view.summary.state in (JobState.FINISHED, JobState.FAILED, JobState.PARKED)
    return not ended or any(delivery.state == _PENDING for delivery in view.deliveries)
