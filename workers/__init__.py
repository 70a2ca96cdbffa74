"""The service itself: everything but HTTP towards us, which is ``receiver``. This page is its map.

How a job flows::

    door ─► ledger.accept ─► nudge on RQ ─► worker ─► jobs.run_step ─► attempts ─► one of steps/
                                ▲                                                     │
                                └──────── clock ◄── what is due ◄── ledger.move ◄─────┘
                                                          └──► courier ─► steps/deliver

The ledger is the truth and an RQ job only a nudge; lost, doubled and late nudges are harmless. A step may be killed on
any line and run again: nothing is lost and nothing doubles.

Processes
    worker          one lane, one RQ queue, one forked work-horse per shift      jobs       what RQ calls
    stepworker      RQ's worker as we run it: ends and crashes (horse, slate)    attempts   claim, do, write the outcome
    stoppable       the same: where it stops    shift  a horse goes on with the next nudges  leases  held meanwhile
    clock           moves what is due onto RQ, as fast as the budget allows   wiring  settings to services (places)
    courier         carries out deliveries, many at once, in threads (rooms)     handlers   the team's own function
    supervisor      keeps the processes of one machine running (processes, sessions, leash, signals, folderlock)
    crew, presence  who is there, and on what it works
    notify, pulse   signs of life, as systemd takes them too (silence)           valkey     the embedded server (pings)

Steps (``steps/``)
    submit, fetch, render, watch, keep, deliver

For the application
    submissions     a submission at once (seats: how many may wait; idempotency)
    links           callback URLs for jobs that it submits itself, and jobs that are watched

What is kept
    ledger          every write about jobs, renders, submissions, callbacks; its invariants stand at the top
                    (arrivals: what comes in, claims: who gets an attempt, turns: how it goes on and ends,
                    upkeep: what has ended; scribe: how it is written)
    lua/            the scripts that do it                 scripts    loads them, each with what it uses (linking,
                                                                      constants)
    pipeline        callbacks on their way into it, which nobody waits on (replicated: replicas must have them too)
    intake          where callbacks go: there, or while Redis is away (gate) into the spool (spoolfile, spooltable)
    drain           hands on what waits in the spool
    attic           packs what has come to rest (bundle, squeeze, phrases)       holdings  reads it, packed or not
    catalog, views  reading: one job, progress      listing, filters  many jobs (summaries, indexes, cursors)
    records         what goes between the ledger and the rest            moments  how a time is written
    reader          questions to Redis            census   everything in numbers     almanac  hour by hour (hours)
    parked          what waits for a person, by why (parking)
    keys            every key in Redis          nudges  what RQ jobs look like   artifacts  files (disk, buckets, paths)
    feed            the stream of what changed (changes, tail)            frames     them as events of HTTP
    measures        histograms and counters that the scripts keep         census     all of it in numbers
    partials        files that are not whole yet                                 volumes    the room on their disk
    archive         callback bodies, from the ledger to the files
    backup, restore everything in one file (backupfile, backupkeys, backupreader), and back with proof
                    (restoremark: not yet)                                copies     whole jobs (jobcopy)
    erasure         takes every trace of a job away     retention  when

Outside parties
    swiftia         what it is asked (exchanges, wire, talk, certificates)       budget     who may send a request when
    downloads       files from the network (replies, guarded, dialing, timedstreams)
    connections     clients of Redis (sentinels, steady)    durability  how it keeps what is written
    destinations    where deliveries go: over HTTP, or to a function             storage      how full Swiftia's is

Rules without any IO
    states, work    what may become what, and which step that calls for          errors     the one tree
    documents, payloads, results, renders, uploads, refusals                     bytes from outside become values
    validators                                                                   may the rest of a file follow
    schedule, backoff, limits, rules, progress, outcomes, identifiers, waits     when, how often, which
    guards                                                                       what is wrong before it is paid for
    addresses                                                                    what may be connected to
    events, outbox, deliveries                                                   what is told, to whom, how often
    forecast        when a render or a job will be done (trail, history, guesses); memory keeps what was learnt
    uploads         files at Swiftia; freeing deletes those that are kept here
    looks           what a look leads to            planning/   the same schedule on a virtual clock, for a load to come
    accounts        several organizations, read by accountfile and roster; upstreams: the wire, budget and rules of one
    standing, verdicts, window                                    of the budget: what it shows and hears, and its rules
    signing, tokens                                                              who is it from (diagnosis: why not)
    settings        the environment, read once (units)  keyring  secrets of our own     logs, redaction  what is told
    origin          whose work is being done (ids)  tracing  spans, if wanted      exporting        where they go
    lognames        every event that is logged                                   release    which one this is

``sandbox/`` is a stand-in for Swiftia. It shares no code with the rest, so that a mistake cannot cancel itself out.
"""
