"""The server against its own OpenAPI document, under a fuzzer that reads it."""

import os
import subprocess
import sys
from pathlib import Path

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
SECONDS = int(os.environ.get("VASE_FUZZ_SECONDS", "25"))


def test_every_response_is_as_documented(start, tmp_path):
    server = start("--parallel", 3, "--n-predict", 8)
    outcome = subprocess.run(
        [SCHEMATHESIS, "run", server.url + "/openapi.json", "--checks", "all",
         # Some rules join two fields (stream_options needs stream), which the document cannot say.
         "--exclude-checks", "positive_data_acceptance",
         "--seed", "1", "--max-time", str(SECONDS), "--request-timeout", "30"],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS + 120)
    assert outcome.returncode == 0, outcome.stdout[-4000:]
    assert "Tested: 9" in outcome.stdout, outcome.stdout[-2500:]
    assert sum(server.outcomes().values()) == server.metric("vase_requests_accepted_total")
