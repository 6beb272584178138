"""The small session that the tests of the screens use as well."""

from tests.ui.conftest import *  # noqa: F403
