"""The last run of the purge, and the last verdict of each trial of ``securecore_prove``: one row for each name.

Neither is an audit row: no state of a caller changes, and only the last one counts. The rows are as many as the names
in the code.
"""

from securecore.last_runs.record import PURGE, last_runs, record
