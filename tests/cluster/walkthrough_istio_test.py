"""The first day with Istio's own files: LATEEN_ISTIO_DIR is a directory with Istio's samples/ of any release from 1.9 on, applied unmodified."""
import os
import unittest

import walkthrough
from walkthrough import *  # noqa: F403: the rows are the tests
from bookinfo_tasks import *  # noqa: F403


def setup():
    folder = os.environ.get("LATEEN_ISTIO_DIR", "")
    if not folder:
        raise unittest.SkipTest("LATEEN_ISTIO_DIR is not set")
    walkthrough.start(folder=folder)


def teardown():
    walkthrough.stop()
