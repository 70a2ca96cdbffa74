"""What a given load would do to a given allowance: the real schedule on a virtual clock. Pure; luck is an argument.

    load            what comes: jobs a day, their renders, how long these take
    window          the budget's sliding window, as ``lua/take.lua`` and ``lua/settle.lua`` count it
    lines           who is due and who goes next, as ``lua/dispatch.lua`` and ``lua/take.lua`` choose
    account         one organization's jobs, step by step; when to look is said by ``workers/looks.py``
    tally           what was counted on the way
    plan            the answers: does it fit, how late is what noticed
    needs           what it takes in workers, memory and bytes

Window and lines are a second telling of what the scripts do, for these cannot run without Redis; tests hold both
against each other. Everything else is the code that the service runs.
"""
