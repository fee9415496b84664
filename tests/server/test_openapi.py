"""The server against its own OpenAPI document, under a fuzzer that reads it."""

import os
import re
import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
EXAMPLES = int(os.environ.get("VASE_FUZZ_EXAMPLES", "100"))  # of each operation; 20 seconds by right


def test_every_response_is_as_documented(start, tmp_path):
    server = start("--parallel", 3, "--n-predict", 8)
    outcome = subprocess.run(
        [SCHEMATHESIS, "run", server.url + "/openapi.json", "--checks", "all",
         # Some rules join two fields (stream_options needs stream), which the document cannot say.
         "--exclude-checks", "positive_data_acceptance",
         # How many, not how long: a time is spent before the first case where the machine is busy.
         "--seed", "1", "--max-examples", str(EXAMPLES), "--suppress-health-check", "too_slow",
         "--request-timeout", "120"],
        cwd=tmp_path, capture_output=True, text=True, timeout=450 + 5 * EXAMPLES)
    assert outcome.returncode == 0, outcome.stdout[-4000:]
    assert "Tested: 9" in outcome.stdout, outcome.stdout[-2500:]
    assert int(re.search(r"(\d+) generated", outcome.stdout)[1]) > 10 * EXAMPLES, outcome.stdout[-2500:]
    assert sum(server.outcomes().values()) == server.metric("vase_requests_accepted_total")
