"""The command that a replica runs."""

from __future__ import annotations

from vase.program import find_program
from vase.ray.settings import Settings


def command_line(settings: Settings, host: str, port: int, key_file: str) -> list[str]:
    """`vase serve`, or llama-server under `vase exec`, listening on `host` and `port` for requests with a key of `key_file`.

    Raises RuntimeError if there is no vase program on this machine.
    """
    program = find_program()
    model = ["-m", settings.model] if settings.model else []
    common = ["--host", host, "--port", str(port), "--api-key-file", key_file, "--parallel", str(settings.parallel)]
    if settings.cpus >= 1 and not {"-t", "--threads"} & set(settings.options):
        common += ["-t", str(int(settings.cpus))]
    if settings.engine == "llama-server":
        return [program, "exec", *settings.exec_options, "--", settings.llama_server, *model, *common, "--metrics", *settings.options]
    limits = ["--queue", str(settings.queue), "--max-body", str(settings.max_body), "--no-webui"]
    return [program, "serve", *model, *common, *limits, *settings.options]
