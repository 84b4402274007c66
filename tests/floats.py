"""The floating dtypes that tests go through: bfloat16 is among them where ml_dtypes is installed."""

from minigrad import dtypes

REDUCED = sorted(map(str, dtypes.REDUCED))
FLOATS = [*REDUCED, "float32", "float64"]
