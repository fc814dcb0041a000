"""Prints test vectors of weighted ketama, from its published algorithm and Python's hashlib alone.

Usage: python3 tests/vectors/ketama.py > cluster/vectors/ketama.json
"""

import bisect
import hashlib
import json
import struct


def single(number):
    """Rounds to single precision, as C does after each step on floats."""
    return struct.unpack("f", struct.pack("f", number))[0]


def words(text):
    return struct.unpack("<4I", hashlib.md5(text.encode()).digest())


def fnv1a_64(key):
    """With 32 bits, as libmemcached and twemproxy have it."""
    value = 0xCBF29CE484222325 & 0xFFFFFFFF
    for byte in key.encode():
        value = ((value ^ byte) * (0x100000001B3 & 0xFFFFFFFF)) & 0xFFFFFFFF
    return value


def points(servers):
    total = sum(weight for _, weight in servers)
    found = []
    for index, (name, weight) in enumerate(servers):
        share = single(single(weight) / single(total))
        hashes = int(single(single(single(single(share * 160) / 4) * len(servers)) + 0.0000000001))
        for counter in range(hashes):
            found.extend((point, index) for point in words(f"{name}-{counter}"))
    return sorted(found)


def owner(circle, place):
    at = bisect.bisect_left(circle, (place, -1))
    return circle[at % len(circle)][1]


def case(servers, keys):
    circle = points(servers)
    listed = "".join(f"{point} {index}\n" for point, index in circle)
    return {
        "servers": [{"name": name, "weight": weight} for name, weight in servers],
        "points": len(circle),
        "points_sha1": hashlib.sha1(listed.encode()).hexdigest(),
        "first_points": circle[:4],
        "md5": [[key, words(key)[0], owner(circle, words(key)[0])] for key in keys],
        "fnv1a_64": [[key, fnv1a_64(key), owner(circle, fnv1a_64(key))] for key in keys],
    }


def main():
    keys = ["", "foo", "user:1000", "a key with spaces", "ключ"] + [f"key:{number}" for number in range(40)]
    sets = [
        [("127.0.0.1", 1)],
        [("10.0.1.1", 1), ("10.0.1.2", 1), ("10.0.1.3", 1)],
        [("10.0.1.1:11212", 600), ("10.0.1.2:11212", 300), ("10.0.1.3:11212", 200), ("10.0.1.4:11212", 350)],
        [("server1", 1), ("server2", 2), ("server3", 997)],
        [(f"cache-{number}.example:11311", 1 + number % 7) for number in range(30)],
        [(f"cache-{number}", 1) for number in range(100)],
    ]
    print(json.dumps([case(servers, keys) for servers in sets], indent=1, ensure_ascii=False))


main()
