"""What `serve run vase.ray:app NAME=VALUE...`, or `args:` in a serve.yaml, may say."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from vase.ray.failure import Failure

# What this package says to the servers itself.
_OURS = ("--host", "--port", "--api-key", "--api-key-file", "--parallel", "--np", "-np", "--queue", "--max-body", "-m", "--model",
         "--metrics", "--allowed-host")


def _words(value: object) -> object:
    """A command line as its words."""
    return tuple(shlex.split(value)) if isinstance(value, str) else value


def _names(value: object) -> object:
    """Names with commas between them."""
    return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class Settings(BaseModel):
    """One cluster of servers for one model. All servers are alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = ""
    """GGUF file, at the same path on every node, or a name that `vase models` lists. "": the default model."""
    engine: Literal["vase-serve", "llama-server"] = "vase-serve"
    """The program of each replica: `vase serve`, or llama-server under `vase exec`."""
    options: Words = ()
    """Further options of that program, in one text: "--budget 4096 --temp 0.6"."""
    exec_options: Words = ()
    """With engine=llama-server: options of `vase exec`, such as "--budget 4096"."""
    llama_server: str = "llama-server"
    """With engine=llama-server: the program, a path or a name on the PATH of the nodes."""
    parallel: int = Field(4, ge=1)
    """Slots of each replica (--parallel)."""
    queue: int = Field(64, ge=0)
    """Answers that may wait for a slot of a replica (--queue)."""
    max_body: int = Field(4 << 20, ge=1)
    """Bytes of a request's body, at most (--max-body)."""
    api_keys: Names = ()
    """Keys, of which requests must carry one; that of VASE_API_KEY, where the application is built, is added (--api-key)."""
    api_key_file: str = ""
    """File of such keys, one a line, at the same path on every node (--api-key-file)."""
    allowed_hosts: Names = ()
    """Without keys: names by which clients ask, besides localhost and addresses; "*": any (--allowed-host)."""

    replicas: int = Field(1, ge=1)
    """Replicas, unless max_replicas says that their number follows the load."""
    max_replicas: int = Field(0, ge=0)
    """Replicas at most; 0: always `replicas`, which is the fewest otherwise."""
    target_load: float = Field(1.0, gt=0)
    """With max_replicas: answers at work or waiting, over slots, that the number of replicas is chosen for."""
    cpus: float = Field(1, ge=0)
    """Cores of a replica; also its threads (-t), unless options say so."""
    gpus: float = Field(0, ge=0)
    """GPUs of a replica."""
    fronts: int = Field(1, ge=1)
    """Processes that take requests and choose replicas."""
    fronts_on_head: bool = True
    """Whether they are on the head node, without which nothing goes on anyway, so that no other node's end ends more than the
    answers of its own replicas. False: wherever Ray puts them."""
    overload: float = Field(2.0, ge=1)
    """A conversation leaves its replica when that has this many requests for each slot, and another has a free slot."""
    wait: float = Field(30.0, gt=0)
    """Seconds for which a request waits for a replica that starts, or has room."""

    @model_validator(mode="after")
    def _check(self) -> Settings:
        for word in self.options:
            if word.split("=")[0] in _OURS:
                raise ValueError(f"options may not say {word}: vase.ray does, by settings of its own")
        if self.engine == "vase-serve" and self.exec_options:
            raise ValueError("exec_options are for engine=llama-server")
        if 0 < self.max_replicas < self.replicas:
            raise ValueError(f"max_replicas={self.max_replicas} is less than replicas={self.replicas}")
        return self

    @property
    def has_keys(self) -> bool:
        """Whether requests must carry a key."""
        return bool(self.api_keys or self.api_key_file)

    @classmethod
    def read(cls, values: dict[str, Any]) -> Settings:
        """Of what was given on the command line or in a file. Raises Failure, in one line."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                raise Failure(f"vase.ray: there is no setting {name}; there are: {', '.join(cls.model_fields)}") from None
            message = first["msg"].removeprefix("Value error, ")
            raise Failure(f"vase.ray: {name}={first['input']}: {message}" if name else f"vase.ray: {message}") from None
