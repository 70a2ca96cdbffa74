"""The HTTP edge and the command line, above ``workers``. This page is their map.

The door
    door            a callback comes in, and is answered once it is stored       tally      what it counts (board)
    porter          does what the door does, in the worker's own loop (foyer), for callbacks of the plain form (knock)
    leaving         connections that are answered and not hung up

The API
    app             every route, closed over what it uses                        wsgi       connects it in a web process
    jobs, files     submit, watch, list and show; what is kept of each (ranges)  remedies   retry, send again, erase
    events          what happens, as it happens: broadcast reads, listeners hear (pieces, handover)
    allowance, storage, workforce    the budget, the storage at Swiftia, who works
    health          may it be sent callbacks    metrics, metricsport  numbers (families, budgetmetrics, ledgermetrics)
    auth, proxies   who asks                        requests, queries, bodies  what is asked     answers  what leaves
    problems        errors as HTTP (explanations, malformed)                     requestids  which request it was
    description/    every route, told once          pages      shows it to people (outline)
    console/        the service as a person sees it, in a browser

The processes
    server          gunicorn as it is run           launch     which processes ``up`` runs      machine    runs them
    asking          asks the web process of this machine

The commands
    cli             finds them, one module each: the …_command and …_commands    exits      what their codes say
    api_client      the running service, as they ask it (order, sightings)       table, progress  what they print
    watchtower      what ``top`` sees               export     one job as a zip file
    doctor          what ``check`` looks at (keycheck, findings)
    trial           a service of their own for demo and benchmark
"""
