"""When it runs: triggers say when a schedule is due.

Terms: a *trigger* is a rule that names points in time; a *wall time* is what a clock on the wall of the trigger's zone
shows (a datetime without a zone); an *instant* is a point in time (a datetime in UTC). On the night when clocks go back some
wall times come twice, on the night when they go forward some don't come at all: `walls.py` decides what that means, once.
"""
