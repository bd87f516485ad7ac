"""The first day without any privilege: every row, typed by a user who is nobody and has no subordinate ids."""
import walkthrough
from harness import NOBODY, need_unprivileged_user_namespaces
from walkthrough import *  # noqa: F403: the rows are the tests


def setup():
    need_unprivileged_user_namespaces()
    walkthrough.start(user=NOBODY)


def teardown():
    walkthrough.stop()
