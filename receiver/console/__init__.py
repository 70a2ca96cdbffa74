"""The console: the service as a person sees it, in a browser. This page is its map.

    site        puts it together                        gate      which pages there are, who is let in to each
    sessions    who has signed in, as a signed cookie   visitors  who is asking: by session, or a proxy vouches
    sign_in     signing in and out                      tries     how often that may be tried
    forms       what is sent, and that a page of ours has sent it
    shell       the frame of every page                 words     values as people read them
    assets      style, scripts, icon                    faults    errors as pages
    refused     what is not let through

    jobs        the list of them, by what search finds  job       one of them: its story, and advice about its state
    documents   results and callbacks, to be read       actions   retry, erase, send again, each after a question
    overview    made of figures, which follow from what lookout knows; attention: what needs a human; charts: boxes
    parked      what waits for a person, by why         submit    the form of a job (draft), and what it would send
    check       the doctor's findings                   hands     who works, and on what

How a page comes about: the server makes it whole, of ``templates/console/*.html``, and it works as it is. The scripts
(``static/*.js``, modules without a build step) add to it where they can: moments in the reader's zone, news as it
happens, questions in a dialog. There is no script and no style inside a page, and nothing of another host: the policy
in ``shell`` has browsers refuse it.

How to add a page:

1. Write a class beside the others that takes what it uses, and registers its views at the gate::

       class Overview:
           def __init__(self, census: Census) -> None: ...

           def add_to(self, gate: Gate) -> None:
               gate.show("/", self.show)                        # GET, for all who have signed in
               gate.show("/x/erase", self.ask, to_look=False)   # GET, not for who may only look
               gate.act("/x/erase", self.erase)                 # POST, likewise; origin and form token are checked

           def show(self, visitor: Visitor) -> Response:
               return shell.page(visitor, "overview.html", counts=…)

           def erase(self, visitor: Visitor, form: Form) -> Response:
               …
               return gone_to("/x?done=erased")                 # 303, so that a reload repeats nothing

   What is raised (``NotFound``, ``InvalidInput``, ``Conflict``, …) becomes a page by itself.
2. Make it in ``site.py``; name its routes in ``receiver/description/console.py``, and in deploy/api.md.
3. Write ``templates/console/overview.html``: ``{% extends "base.html" %}``, blocks ``title`` and ``main``; the macros
   of ``pieces.html`` give badges, bars, forms with their token, questions. Filters: ``words.py``. Names of classes are
   at the top of ``static/console.css``.
4. To have it follow what happens: ``live.js`` says at its top what a page has to bear.
5. Put its address on the list in ``tests/receiver/console/``, where each page is looked at by axe and at all widths.
"""
