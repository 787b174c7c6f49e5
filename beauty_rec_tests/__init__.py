"""Tests of beauty_rec, and what is said before any of them loads torch."""

import os

# Threads of OpenMP spin while they wait for work: where several workers share two cores, they take
# them from who has work. They sleep instead; how many there are, and what they compute, stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
