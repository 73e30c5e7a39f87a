# A second page of the field notes, reached by a relative link.
# path: field-notes/methods.ipynb
# view: report_default

# %% [markdown] id=title grid=0,0,12,2
# # How we counted

# %% [markdown] id=text grid=2,0,12,12
# 1. Every Saturday from 1 March 2025, from sunrise for two hours, two people in the north hide.
# 2. A bird counts when both have seen it; the higher of two counts is dropped.
# 3. The wind is *calm*, *breeze* or *wind*, as it feels.
#
# The counts are in [observations.csv](observations.csv), one row per day and bird:
#
# | column | meaning |
# |:-------|:--------|
# | `date` | the Saturday, ISO 8601 |
# | `bird` | English name |
# | `count` | birds seen |
# | `weather` | calm, breeze or wind |
#
# Back to the [field notes](./).
