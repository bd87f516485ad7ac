"""The first day as root, with this project's samples: every row of tests/walkthrough.py."""
import walkthrough
from walkthrough import *  # noqa: F403: the rows are the tests
from bookinfo_tasks import *  # noqa: F403


def setup():
    walkthrough.start()


def teardown():
    walkthrough.stop()
