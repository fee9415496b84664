#!/usr/bin/env python3
"""Conversations with a Ray cluster of three nodes, of which one is killed and another one added while requests run.

    VASE_PROGRAM=build/release/bin/vase PYTHONPATH=build/release/python ~/.cache/vase/ray-venv/bin/python bench/ray_soak.py --model MODEL

Each node is a set of processes of its own on this machine (ray.cluster_utils), with one replica; the head has none. Clients hang up in
the middle of every tenth answer, and ask again if an answer is lost. Exits with 1 if a request has no outcome or more than one, if one
is lost that was not in flight on the dead node, or if fewer prompts go on from what was read before than they should.
build/release/tests/server/vase_write_model writes a model small enough for minutes. All traffic is on 127.0.0.1.
"""

import argparse
import collections
import os
import pathlib
import re
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/ray"))
from load import Load, hits  # noqa: E402
from ray_cluster import RayCluster  # noqa: E402


class Change:
    """A node that dies and one that comes."""

    def __init__(self, cluster):
        self.cluster, self.killed, self.noticed, self.replaced, self.rank = cluster, 0, 0, 0, ""

    def __call__(self):
        node = self.cluster.nodes[0]
        self.rank = self.cluster.rank_on(node)
        before = {server["pid"] for server in self.cluster.servers()}
        self.killed = time.monotonic()
        self.cluster.kill_node(node)
        self.noticed = time.monotonic()
        self.cluster.add_node()
        while len({server["pid"] for server in self.cluster.servers()} - before) == 0:
            time.sleep(0.2)
        self.replaced = time.monotonic()


def outcomes_by_servers(url):
    """For each replica: requests accepted, and outcomes."""
    text = urllib.request.urlopen(url + "/metrics", timeout=30).read().decode()
    accepted = {rank: int(count) for rank, count in re.findall(r'^vase_requests_accepted_total{replica="(\d+)"} (\d+)', text, re.M)}
    outcomes = {rank: collections.Counter() for rank in accepted}
    for rank, outcome, count in re.findall(r'^vase_requests_total{replica="(\d+)",outcome="(\w+)"} (\d+)', text, re.M):
        outcomes[rank][outcome] += int(count)
    return accepted, outcomes


def quiet(url, seconds=20):
    """The servers' counts when the last cancels have been noticed."""
    for _ in range(seconds * 10):
        accepted, outcomes = outcomes_by_servers(url)
        if all(accepted[rank] == sum(outcomes[rank].values()) for rank in accepted):
            break
        time.sleep(0.1)
    return accepted, outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--conversations", type=int, default=96)
    arguments = parser.parse_args()

    with RayCluster(3) as cluster:
        cluster.start(model=os.path.abspath(arguments.model), replicas=3, parallel=4,
                      options="--budget 512 --recency 32 --interval 32 --cache-ram 512")
        change = Change(cluster)
        load = Load(cluster.port, arguments.requests, arguments.clients, arguments.conversations)
        began = time.monotonic()
        outcomes = load.run(change, 2 * arguments.requests // 5)
        seconds = time.monotonic() - began
        accepted, by_servers = quiet(cluster.url)

    lost = [attempt for outcome in outcomes for attempt in outcome.attempts if attempt.lost]
    in_flight = [attempt for outcome in outcomes for attempt in outcome.attempts if attempt.began <= change.noticed and attempt.ended >= change.killed]
    elsewhere = [attempt for attempt in lost if attempt not in in_flight or attempt.replica not in ("", change.rank)]
    before = [outcome for outcome in outcomes if outcome.attempts[-1].ended < change.killed]
    after = [outcome for outcome in outcomes if outcome.began > change.killed]
    kinds = collections.Counter(outcome.kind for outcome in outcomes)
    ids = collections.Counter(outcome.id for outcome in outcomes if outcome.id)
    print(f"requests        {len(outcomes)} in {seconds:.0f} s: {dict(kinds)}; {len(before)} before the change, {len(after)} after")
    print(f"the change      replica {change.rank} killed with its node; another one in its place after {change.replaced - change.killed:.1f} s")
    print(f"in flight then  {len(in_flight)}; lost {len(lost)}, of which not on the dead node {len(elsewhere)}")
    print(f"asked again     {sum(len(outcome.attempts) > 1 for outcome in outcomes)} requests, "
          f"{max(len(outcome.attempts) for outcome in outcomes)} attempts at most")
    print(f"prefix hits     {100 * hits(before):.1f}% before, {100 * hits(after):.1f}% after")
    for rank in sorted(accepted):
        print(f"replica {rank}       accepted {accepted[rank]}: {dict(by_servers[rank])}")
    checks = {
        "every request has one outcome": sum(kinds.values()) == arguments.requests,
        "no id twice": set(ids.values()) == {1},
        "all requests succeeded in the end": kinds["given up"] == 0,
        "only requests in flight on the dead node were lost": not elsewhere,
        "every request that a server accepted has one outcome there":
            all(accepted[rank] == sum(by_servers[rank].values()) for rank in accepted),
        "nothing failed at a server": all(counts[kind] == 0 for counts in by_servers.values() for kind in ("failed", "aborted", "timed_out")),
        "three servers at the end": len(accepted) == 3,
        "prefix hits of at least 90% before": hits(before) >= 0.9,
        "prefix hits of at least 80% after": hits(after) >= 0.8,
    }
    for text, good in checks.items():
        print(f"{'ok    ' if good else 'FAILED'} {text}")
    print(*[attempt.lost for attempt in elsewhere[:10]], sep="\n")
    sys.exit(0 if all(checks.values()) else 1)


if __name__ == "__main__":
    main()
