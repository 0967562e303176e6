"""Charts and tables drawn from data: a table in, pictures with data, code and questions out.

`table` reads it, `choose` finds charts that fit it, `matplotlib_code` and `vega_code` draw them
and write the code that does, `look` checks the picture, `answers` asks about it, `sheets` lays
the table itself out.
"""
