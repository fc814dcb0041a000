"""What scripts/bench prints: facts of the machine, tables, and whether goals are met."""

import datetime
import os
import platform
import statistics

# Larder's CPU time per operation as a share of redis's, by pipeline depth (64 B, 50 connections).
CPU_GOALS = {64: 0.20, 16: 0.40, 1: 0.88}
# Resident bytes per key at the worst size between 1M and 2M keys, by (value bytes, has TTL).
MEMORY_GOALS = {(32, False): 74, (64, False): 106, (32, True): 86}
GOAL_PEER = "redis"


def machine():
    def first(path, name):
        with open(path) as lines:
            return next((li.split(":", 1)[1].strip() for li in lines if li.startswith(name)), "?")

    memory_gib = int(first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, "
                   f"{memory_gib:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load_at_start": os.getloadavg()[0],
    }


def spread(values, digits):
    """The median, and the range if there is one."""
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def median(runs, field):
    return statistics.median(run[field] for run in runs)


def speed_table(rows, results, subject, perf):
    """rows: those measured; results: row name -> server name -> one dict per round."""
    header = ["row", "server", "ops/s", "p50 us", "p99 us", "p99.9 us", "CPU us/op",
              f"{subject}'s share of its CPU", "goal"]
    if perf:
        header[7:7] = ["instr./op", "cycles/op"]
    lines = []
    for row in rows:
        by_server = results[row.name]
        own = by_server.get(subject, [])
        for server, runs in by_server.items():
            if not runs:
                lines.append([row.name, server, "failed"] + [""] * (len(header) - 3))
                continue
            busy = median(runs, "client_cpu_us_per_op") * median(runs, "ops_per_s") / 1e6
            limited = "*" if busy > 0.9 else ""
            cells = [row.name, server, f"{median(runs, 'ops_per_s'):,.0f}{limited}"]
            cells += [f"{median(runs, field):.0f}" for field in ("p50_us", "p99_us", "p99.9_us")]
            cells.append(spread([run["server_cpu_us_per_op"] for run in runs], 3))
            if perf:
                cells += [counter(runs, "instructions"), counter(runs, "cycles")]
            cells += ["", ""] if server == subject else compare(row, server, own, runs)
            lines.append(cells)
    return header, lines


def counter(runs, field):
    values = [run[field] / run["all_ops"] for run in runs if run.get(field)]
    return f"{statistics.median(values):.0f}" if values else "?"


def compare(row, server, own, runs):
    """The share of a peer's CPU time, each round against the same round, and the goals."""
    ours = {run["round"]: run["server_cpu_us_per_op"] for run in own}
    shares = [ours[run["round"]] / run["server_cpu_us_per_op"]
              for run in runs if run["round"] in ours and run["server_cpu_us_per_op"]]
    if not shares:
        return ["?", ""]
    goals = []
    if server == GOAL_PEER:
        if row.has_cpu_goal:
            goal = CPU_GOALS[row.pipeline]
            goals.append(f"<= {goal:.2f} {met(statistics.median(shares) <= goal)}")
        goals.append(f"p99 {met(median(own, 'p99_us') <= median(runs, 'p99_us'))}")
    return [spread(shares, 2), ", ".join(goals)]


def met(is_met):
    return "met" if is_met else "MISSED"


def memory_table(results, subject):
    """results: (value bytes, has TTL) -> server name -> {number of keys: bytes per key}."""
    header = ["entry", "server", "bytes/key, growing: best", "worst", "at the end", "goal (worst)"]
    lines = []
    for (value_size, ttl), by_server in results.items():
        entry = f"16 B + {value_size} B{' + TTL' if ttl else ''}"
        for server, sizes in by_server.items():
            if not sizes:
                lines.append([entry, server, "failed", "", "", ""])
                continue
            worst, goal = max(sizes.values()), MEMORY_GOALS.get((value_size, ttl))
            judged = server == subject and goal
            lines.append([
                entry, server, f"{min(sizes.values()):.1f}", f"{worst:.1f}",
                f"{sizes[max(sizes)]:.1f}",
                f"<= {goal} {met(worst <= goal)}" if judged else "",
            ])
    return header, lines


def render(header, lines, markdown):
    if markdown:
        head = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        return "\n".join(head + ["| " + " | ".join(line) + " |" for line in lines])
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in [header, *lines])


def preamble(facts, markdown):
    """When, where, with what; one line each."""
    lines = [
        f"{facts['date']}, {facts['machine']}, {facts['kernel']}",
        "versions: " + ", ".join(f"{name} {v}" for name, v in facts["versions"].items()),
        f"load average {facts['load_at_start']:.1f} at the start, "
        f"{facts['load_at_end']:.1f} at the end",
        "command: " + (f"`{facts['command']}`" if markdown else facts["command"]),
    ] + [f"not measured: {peer}" for peer in facts["missing"]]
    return "\n".join(f"- {line}" for line in lines)
