"""Stateless randomness: every draw's seed is a function of what is drawn, never of what was drawn before.

A run that is killed and resumed, or spread over more workers, so sees the same random numbers without saving any
generator's state.
"""

import hashlib


def derive(*keys: int | str) -> int:
    """A 63-bit seed for `keys`, such as `derive(run_seed, "supernet", step)`; the same on every machine."""
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
