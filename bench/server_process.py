"""Starts `vase serve` on a free port, for the measurements in this folder."""

import os
import re
import subprocess
import sys
import tempfile
import time


def start_server(program, model, options, environment=None):
    """With these variables besides our own. Returns the process and its port once it listens; ends this program if it does not start."""
    log = tempfile.TemporaryFile("w+")
    command = [program, "serve", "-m", model, "--port", "0", *map(str, options)]
    process = subprocess.Popen(command, stderr=log, env=os.environ | (environment or {}))
    for _ in range(1200):
        log.seek(0)
        match = re.search(r"listening on http://[^:]+:(\d+)", log.read())
        if match:
            return process, int(match[1])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    log.seek(0)
    sys.exit(f"the server did not start: {log.read()}")
