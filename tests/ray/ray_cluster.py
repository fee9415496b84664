"""A Ray cluster of several nodes on this machine, with the application on it, for tests and benchmarks."""

import contextlib
import os
import socket
import time

os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "1")  # else with HAProxy each end takes 30 s

import psutil
import ray
from ray import serve
from ray.cluster_utils import Cluster

import vase.ray


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_head(attempts=3):
    """Ray gives a node 30 s to start, whatever else the machine has to do."""
    for left in reversed(range(attempts)):
        try:
            return Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 << 20,
                                                                 "dashboard_agent_listen_port": None})  # another cluster may have Ray's own
        except Exception as error:  # Ray's own type
            if "timed out during startup" not in str(error) or not left:
                raise


class RayCluster:
    """The head, which takes requests and holds no replica, and `nodes` others with so many cores and GPUs. With `with` all of it is
    ended."""

    def __init__(self, nodes, cpus=1, gpus=0):
        self.cpus, self.gpus = cpus, gpus
        self.cluster = start_head()
        self.nodes = [self.add_node() for _ in range(nodes)]
        ray.init(address=self.cluster.address, namespace="serve", log_to_driver=bool(os.environ.get("RAY_CLUSTER_LOGS")),
                 logging_level="ERROR")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": self.port})

    def add_node(self):
        return self.cluster.add_node(num_cpus=self.cpus, num_gpus=self.gpus, object_store_memory=80 << 20)

    def kill_node(self, node):
        """As when its power fails: all of its processes at once."""
        [raylet] = node.all_processes["raylet"]
        processes = psutil.Process(raylet.process.pid).children(recursive=True)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)

    def start(self, **settings):
        """Starts the application and waits until it answers."""
        serve.run(vase.ray.app(settings))

    def remove(self):
        """Ends the application, and waits until all of it has ended."""
        serve.delete("default")

    def servers(self):
        """What the fronts know of the server of each replica that answers: url, key, rank, pid."""
        asked = serve.get_deployment_handle("Engine", "default").broadcast("record_replica_metadata")
        return [answer for answer in asked.results(timeout_s=30, return_exceptions=True) if isinstance(answer, dict)]

    def places_taken(self):
        """Requests that the replicas have, as Ray Serve counts them."""
        replicas = [actor for actor in ray.util.list_named_actors(all_namespaces=True) if "#Engine#" in actor["name"]]
        return sum(ray.get(ray.get_actor(**actor).get_num_ongoing_requests.remote()) for actor in replicas)

    def rank_on(self, node):
        """The name of the replica on this node, as answers say it in x-vase-replica."""
        [raylet] = node.all_processes["raylet"]
        here = {process.pid for process in psutil.Process(raylet.process.pid).children(recursive=True)}
        [rank] = [server["rank"] for server in self.servers() if server["pid"] in here]
        return str(rank)

    def stop(self):
        with contextlib.suppress(Exception):
            serve.shutdown()
        ray.shutdown()
        self.cluster.shutdown()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
