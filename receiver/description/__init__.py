"""What the HTTP API is, told once: ``/openapi.json``, ``/docs`` and the check of queries are made from here.

The pages of the console are for people and are not described; ``console`` names their routes.

How to describe a route that you add:

1. Serve it as ever: ``api.add_url_rule("/jobs/<name>/events", view_func=self.events)``.
2. Describe it in the module of its part here (or a new one, named in ``document.PARTS``), in that module's ``ROUTES``::

       Route(
           "GET",
           "/api/jobs/{name}/events",   # the rule, with {name} for <name> and {n} for <int:n>
           id="followJob",              # its name in generated clients, and its anchor in /docs
           tag="Jobs",
           summary="Follow a job",      # one line, without a full stop; the front page and deploy/api.md show it
           text="…",                    # more, in paragraphs; `code` may be marked as such
           query=(Parameter("since", MOMENT, "Leave out what happened before."),),
           answers={200: Answer("The events.", {"text/event-stream": Content({"type": "string"}, "event: …")})},
           problems=("not-found",),     # slugs, see receiver/problems.py; their statuses are known
       )

   ``Content``, ``Body`` and ``Parameter`` take JSON Schemas; those with a name stand in the module's ``SCHEMAS`` and
   are referred to with ``ref("Job")``. A path parameter that is not in ``parameters.PATH`` yet gets its place there.
   For a body: ``body=Body(ref("Order"), examples={…})``; a request header: ``headers=(Parameter("Prefer", …),)``.
   Every route but a ``public`` one has the problems of ``COMMON`` besides its own, and answers 400 to a query parameter
   that is not described; so a ``view_func`` may read any that is.
3. Name the route in the table of deploy/api.md, where ``first_cells("Routes")`` of the tests looks for it.

``create_app`` raises ``Undescribed`` for a route without a description and for a description without a route, and the
tests hold every answer of a running service against it. What no route could tell is in ``introduction``.
"""
