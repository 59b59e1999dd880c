"""Files and object stores: array or table in, array or table out; the only place that says x-y-z."""
