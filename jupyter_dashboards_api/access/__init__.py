"""Who may see and do what.

Terms
    A *caller* is whoever sends a request, of one of these kinds:

    - *owner*: has the server's own login or token; may do everything that the server's authorizer allows.
    - *key*: a program with an API key; may do what the key's scopes grant.
    - *viewer*: a person with a session of ours; may open what the access file lets it open.
    - *visitor*: a page that carries a page token, opened by a share link or because its dashboard is public.
    - *nobody*: none of these; may open what is public.

    A *scope* is what a route needs and a key has (`scopes.py`). An *access rule* says who may open a folder or a notebook
    (`rules.py`). A *share link* opens one notebook for whoever has it (`shares.py`).

Nothing here sees an HTTP request: `handlers/identity.py` reads the credentials out of it.
"""
