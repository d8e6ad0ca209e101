"""The manager's page: the picture of a fleet and its recent jobs as HTML.

    words       states, numbers, times and the verdict as an operator reads them
    diagram     clients, routers and targets as one drawing; the share of traffic is the width of a line
    sections    targets, routers, problems, figures
    charts      the last hour as SVG and as a table
    runbook     what the states mean and what to do
    jobs        jobs with their progress
    dialogs     what an action will do, to be confirmed
    document    the whole page; `fragments` its parts that change
    feed        one stream of changed fragments for each viewer
    actions     what a confirmed dialog does
    assets      static files by the hash of their content
    routes      all of it as Starlette routes

Rules
- What is shown is a pure function of frozen values. htpy escapes every text.
- No inline style, script or handler, so that the page works under a strict Content-Security-Policy.
- State is a colour and a word. Whatever moves or is drawn is also there as text.
- JavaScript of ours only where htmx cannot do it: the state of the connection, opening the dialog.
"""
