"""The table of docs/plan.md is what the results file says."""

import subprocess
import sys


def test_table_of_predictions_is_generated_from_the_results(root):
    subprocess.run([sys.executable, str(root / "bench" / "plan.py"), "--check"], check=True)
