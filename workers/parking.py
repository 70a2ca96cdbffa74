"""Why something was parked, as one of few groups: what each means, and what a person does about it. Pure.

A reason is a sentence with names and numbers in it. What we say ourselves is known by its words; of anything else the
sentence without its names and numbers is the group. ``lua/prelude.lua`` keeps what is parked by group.
"""

import re
from dataclasses import dataclass
from typing import Final

MOST_GROUPS: Final = 60
LONGEST_GROUP: Final = 90
OTHER: Final = "other"
CRASHES: Final = "crashes"
# What begins like this is a sentence, not one of the names below.
SENTENCE: Final = "~"


@dataclass(frozen=True, slots=True)
class Why:
    """``words``: one of them is part of each reason of this group. ``pays``: whether a retry may pay twice."""

    group: str
    words: tuple[str, ...]
    title: str
    means: str
    remedy: str
    pays: bool = False


# The first that fits counts.
KNOWN: Final = (
    Why(
        CRASHES,
        ("its worker died",),
        "The worker died",
        "The step took its worker down three times in a row: out of memory, out of time, or killed from outside.",
        "Look into the log of the workers for what happened, and at the memory they may use. Then retry.",
    ),
    Why(
        "submission-unsure",
        ("the answer to the submission was lost",),
        "Submitted, or not?",
        "The answer to the submission was lost, so Swiftia may have the job and bill it, or may never have seen it.",
        "Look for the job in Swiftia's web application. If it is there, name it with PUT /api/jobs/<id> and this ref; "
        "else retry.",
        pays=True,
    ),
    Why(
        "render-unsure",
        ("whether swiftia started this render is not known", "holds no usable renderid"),
        "Render started, or not?",
        "The answer to the start of a render was lost, and RENDER_WHEN_UNSURE is park, so that a person decides.",
        "Look in Swiftia's web application whether the render is there. A retry starts it once more.",
        pays=True,
    ),
    Why(
        "job-unknown",
        ("a callback url whose job is not known",),
        "A callback without its job",
        "A callback came for a URL that was handed out, and nobody has said which job it was given to.",
        "Name the job: PUT /api/jobs/<id> with this ref. What was called for a test can be erased.",
    ),
    Why(
        "archived",
        ("although it archives jobs of that age", "its job is archived by now"),
        "Archived at Swiftia",
        "Swiftia still called it running at the age at which it archives jobs and deletes their files.",
        "Look at it in Swiftia's web application. If nothing came of it, erase it here and submit the video again.",
    ),
    Why(
        "wrong-size",
        ("times in a row; look at it at swiftia",),
        "The file has the wrong size",
        "The file that Swiftia serves has another size than Swiftia says, three times in a row.",
        "Play the render at Swiftia. If it is whole there, retry; else render it again.",
    ),
    Why(
        "file-gone",
        ("for the file; ask swiftia for its url again",),
        "The file is gone",
        "The server of the file answers that it is not there, also with a fresh address from Swiftia.",
        "Look whether the file was deleted at Swiftia. If it is there, retry.",
    ),
    Why(
        "not-allowed",
        ("is not connected to:", "urls are followed", "is not followed", "files are fetched from http"),
        "An address that must not be reached",
        "A file lies at an address that this service does not connect to: a private network, or no http at all.",
        "If that network is yours and is meant, add it to TRUSTED_NETWORKS, restart, and retry. Else tell Swiftia.",
    ),
    Why(
        "too-large",
        ("is larger than",),
        "Too large",
        "A result or a file is larger than the limit that is set here.",
        "Raise MAX_RESULT_BYTES or MAX_VIDEO_BYTES, restart, and retry.",
    ),
    Why(
        "storage-full",
        ("swiftia's storage is full",),
        "The storage at Swiftia is full",
        "Swiftia takes no more jobs and renders until there is room in the organization's storage.",
        "Delete files at Swiftia (FREE_UPSTREAM does it by itself) or take a bigger plan. Then retry.",
    ),
    Why(
        "no-credit",
        ("has too little credit",),
        "Too little credit",
        "The organization has too little credit at Swiftia.",
        "Buy credits at Swiftia, then retry the group.",
    ),
    Why(
        "phone-verification",
        ("phone number verified",),
        "Phone number not verified",
        "Swiftia wants the phone number of the account verified before it takes work.",
        "Verify it in Swiftia's account settings, then retry the group.",
    ),
    Why(
        "swiftia-404",
        ("refuses the request with status 404", "refuses the request with status 410"),
        "Not known at Swiftia",
        "Swiftia does not know the job or the render: a wrong id, another organization's, or archived.",
        "Check the id, the account and SWIFTIA_BASE_URL. A job that is archived there can only be submitted again.",
    ),
    Why(
        "swiftia-refuses",
        ("swiftia refuses the request with status", "swiftia forbids this"),
        "Swiftia refuses the request",
        "Swiftia refuses what was asked for, and would refuse the same again.",
        "Its words stand in the reason. Mend the render rules, the plan or the key's rights, then retry.",
    ),
    Why(
        "our-fault",
        ("this is a fault of the receiver",),
        "A fault of this service",
        "A step ended in an error that nobody foresaw, each time it was tried.",
        "The log of the workers has the traceback. Update the service or report it, then retry.",
    ),
    Why(
        "store",
        ("bytes are free,", "another process is at this file", "are still there; trying later", "storage_url"),
        "Files cannot be kept",
        "The place where files are kept could not be written or read, in all tries.",
        "See the page Check for the store's state, and STORAGE_URL and its credentials. Then retry.",
    ),
    Why(
        "download-failed",
        ("; trying later", "broke off", "sent the file encoded"),
        "A download failed",
        "The server of the file failed or broke off in all tries.",
        "If the file can be played at Swiftia, retry.",
    ),
    Why(
        "swiftia-away",
        ("swiftia answered with status", "did not come through", "swiftia cannot be reached"),
        "Swiftia did not answer",
        "Swiftia answered errors, or not at all, in all tries.",
        "When Swiftia is well again (see the breaker on the overview), retry the group.",
    ),
    Why(
        "unreadable",
        ("swiftia's answer", "its answer holds no", "gives no http(s) url", "swiftia answered with another job"),
        "Swiftia's answers could not be read",
        "Swiftia answered, in all tries, something that is no job or render as its documents tell.",
        "Check SWIFTIA_BASE_URL. If Swiftia has changed its answers, this service has to learn that; else retry.",
    ),
)
_BY_GROUP: Final = {why.group: why for why in KNOWN}
_OF_OTHERS: Final = Why(
    OTHER,
    (),
    "Other reasons",
    "No common cause is known here; the reason of each stands beside it.",
    "Read the reasons, mend what they name, and retry.",
)
_NAMES = re.compile(
    r"""\b(?:job|render|file)\ [\w-]+(?=:)   # reading job abc:
      | '[^']*' | "[^"]*"                    # what is quoted
      | https?://\S+
      | \b\w*\d[\w.:/-]*                     # numbers, and names with numbers in them
      | [^\x20-\x7e]+
    """,
    re.VERBOSE | re.ASCII,
)
_LONGEST_REASON: Final = 2000
# What tells how often it was tried, and not why it failed.
_TRIES = re.compile(r"^(?:render [\d, ]+ parked: )?(?:\w+ failed \d+ times, last because: )?")


def group_of(reason: str) -> str:
    """Name the group of a reason: one of ``KNOWN``, or a sentence behind ``SENTENCE``. Printable ASCII, never empty.

    >>> group_of("render 2 parked: its worker died 3 times in a row, last because: killed by signal 9")
    'crashes'
    >>> group_of("the moon is in house 7 of 'aries'"), group_of("")
    ('~the moon is in house * of *', 'other')
    """
    text = " ".join(reason[:_LONGEST_REASON].lower().split())
    # What a stranger said must not choose the group of what we say.
    ours = _TRIES.sub("", text.partition(". swiftia says:")[0])
    for why in KNOWN:
        if any(word in ours for word in why.words):
            return why.group
    sentence = " ".join(_NAMES.sub("*", ours).split())[:LONGEST_GROUP].strip()
    return f"{SENTENCE}{sentence}" if sentence.strip("* ") else OTHER


def why(group: str) -> Why:
    """Tell of a group, also of one that no version of ours has named."""
    known = _BY_GROUP.get(group)
    if known is not None:
        return known
    if not group.startswith(SENTENCE):
        return _OF_OTHERS
    title = group.removeprefix(SENTENCE)
    return Why(group, (), title[:1].upper() + title[1:], _OF_OTHERS.means, _OF_OTHERS.remedy)


def is_group(text: str) -> bool:
    """Whether a text from outside may be the name of a group, before it meets a key."""
    return 0 < len(text) <= LONGEST_GROUP + 1 and text.isascii() and text.isprintable()
