"""What runs: commands that programs submit, and that run a notebook.

Terms
    A *command* is a row: what was asked for, by whom, and what has become of it. Its *status* is `waiting`, `running`,
    `done`, `error`, `cancelling` or `cancelled`; the last three of done, error and cancelled are for good.
    An *attempt* is one try to carry it out, with a kernel of its own; a command that fails is tried again as often as
    its `retry` says.
    The *queue* decides when a command runs, the *runner* runs it. Our rows are the truth: the queue of one server is
    nothing but tasks that are woken to look at them.

API: `specs/commands.md`, the commands API of a hosted product that programs were written for years ago.
"""
