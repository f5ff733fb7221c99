"""In processes that a dying one starts (killing.arm_children): arms them, too."""

import os

if os.environ.get("EARSHOT_TEST_POINT") and any("lean_dbt" in part for part in __import__("sys").orig_argv):
    from tests.faults.killing import arm_as_told

    arm_as_told()
