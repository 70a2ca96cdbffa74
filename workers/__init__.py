"""The service itself: everything but HTTP towards us, which is ``receiver``. This page is its map.

How a job flows::

    door ─► ledger.accept ─► nudge on RQ ─► worker ─► jobs.run_step ─► attempts ─► one of steps/
                                ▲                                                     │
                                └──────── clock ◄── what is due ◄── ledger.move ◄─────┘

The ledger is the truth and an RQ job only a nudge; lost, doubled and late nudges are harmless. A step may be killed on
any line and run again: nothing is lost and nothing doubles.

Processes
    worker          one lane, one RQ queue, one forked work-horse per step       jobs       what RQ calls
    clock           moves what is due onto RQ, as fast as the budget allows      attempts   claim, do, write the outcome
    supervisor      keeps the processes of one machine running (processes, leash, signals, folderlock)
    valkey          the embedded server                                          wiring     settings to connected parts

Steps (``steps/``)
    submit, fetch, render, watch, keep                                    submissions  at once, for the application

What is kept
    ledger          every write about jobs, renders, submissions, callbacks; its invariants stand at the top
    lua/            the scripts that do it                                scripts    loads them with their constants
    catalog, views  reading: one job, listings, progress                         records    values in between
    keys            every key in Redis          nudges  what RQ jobs look like   artifacts  files (disk, buckets, paths)
    archive         callback bodies, from the ledger to the files

Outside parties
    swiftia         the wire (exchanges, deadlines)                              budget     who may send a request when
    downloads       files from the network (guarded, dialing, timedstreams)         connections  Redis

Rules without any IO
    states, work    what may become what, and which step that calls for          errors     the one tree
    documents, payloads, results, renders, refusals                              bytes from outside become values
    schedule, backoff, limits, rules, progress, outcomes, identifiers            when, how often, which
    signing, tokens                                                              who is it from
    settings        the environment, read once          keyring  secrets of our own     logs, redaction  what is told

``sandbox/`` is a stand-in for Swiftia. It shares no code with the rest, so that a mistake cannot cancel itself out.
"""
