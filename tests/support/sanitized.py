"""What cannot hold where a sanitizer watches lamp (ctest then sets LAMP_SANITIZED) is skipped, with the reason."""
import os
import unittest

SANITIZED = "LAMP_SANITIZED" in os.environ
MEMORY = "a sanitizer's own memory is many times lamp's"
THREAD = "a sanitizer has a thread of its own"


def skip_if_sanitized(reason):
    return unittest.skipIf(SANITIZED, reason)
