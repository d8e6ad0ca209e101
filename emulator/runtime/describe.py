"""The state of the running emulator, as plain values for the admin API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from emulator.runtime.function import FunctionHost
from emulator.runtime.instances.pool import Member
from emulator.runtime.reconciler import Reconciler
from emulator.runtime.schedules import Run

Json = dict[str, Any]


def status(emulator: Reconciler) -> Json:
    """Functions, schedules, faults and buckets."""
    groups = group_members()
    adapter = emulator.settings.adapter
    return {
        "python": str(emulator.settings.interpreter),
        "adapter": str(adapter) if adapter else "stand-in",
        "minute_s": emulator.schedules.minute_s,
        "functions": [_function(emulator, host, groups) for _, host in sorted(emulator.hosts.items())],
        "schedules": [run(emulator, each) for each in emulator.schedules.runs],
        "faults": [
            {"cloud": each.cloud, "scope": each.scope, "fault": str(each.fault)}
            for each in emulator.active_faults.current
        ],
        "buckets": [{"cloud": each.cloud, "name": each.name} for each in emulator.desired.buckets],
    }


def group_members() -> dict[int, list[int]]:
    """Processes by process group, from /proc; the leader first."""
    groups: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        groups.setdefault(int(fields[2]), []).append(int(stat.parent.name))
    return {group: sorted(members) for group, members in groups.items()}


def _function(emulator: Reconciler, host: FunctionHost, groups: dict[int, list[int]]) -> Json:
    spec, pool = host.spec, host.version.pool
    instances = [_instance(member, groups) for member in pool.members]
    return {
        "key": spec.key,
        "cloud": spec.cloud,
        "region": spec.region,
        "name": spec.name,
        "role": spec.role,
        "port": spec.port,
        "url": f"http://127.0.0.1:{spec.port}" if spec.port else None,
        "addresses": [f"http://{each.host}:{spec.port}{each.path}" for each in spec.addresses],
        "closed": spec.closed,
        "package": host.version.spec.package_hash,
        "instances": instances,
        "pids": [pid for instance in instances for pid in instance["pids"]],
        "starts": pool.starts,
        "requests": host.ingress.served if host.ingress else 0,
        "log": str(host.log.path),
        "faults": [str(fault) for fault in emulator.active_faults.of(spec)],
    }


def _instance(member: Member, groups: dict[int, list[int]]) -> Json:
    pid = member.instance.pid
    idle = 0.0 if member.inflight else asyncio.get_running_loop().time() - member.used
    return {
        "pid": pid,
        "pids": groups.get(pid, [pid]),
        "inflight": member.inflight,
        "served": member.served,
        "idle_s": round(idle, 1),
    }


def run(emulator: Reconciler, each: Run) -> Json:
    """One scheduler entry with its last run."""
    outcome, entry, due = each.outcome, each.entry, emulator.schedules.due_in(each)
    return {
        "key": entry.key,
        "cloud": entry.cloud,
        "function": entry.function.key,
        "schedule": entry.timer.schedule if entry.timer else f"every {entry.every_minutes:g} minutes",
        "refused": entry.refused,
        "running": each.running,
        "skipped": each.skipped,
        "next_in_s": None if due == float("inf") else round(due, 1),
        "last_at": each.last,
        "last": None
        if outcome is None
        else {"ok": outcome.ok, "status": outcome.status, "text": outcome.text},
    }
