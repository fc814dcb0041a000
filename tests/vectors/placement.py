"""Larder's placement in another language: prints the vectors that every implementation must agree with.

Usage: python3 tests/vectors/placement.py > cluster/vectors/placement.json
The algorithm is described at the head of cluster/src/placement/mod.rs.
"""

import json

SLOTS = 16384
BITS = (1 << 64) - 1


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def slot_of(key):
    behind = key.partition(b"{")[2]
    tag, brace, _ = behind.partition(b"}")
    return crc16(tag if tag and brace else key) % SLOTS


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB & BITS
    return z ^ z >> 31


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & BITS
    return value


def field_product(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0b10000011 if a & 64 else 0)
        b >>= 1
    return product


TIMES = []
for k in range(SLOTS):
    TIMES.append((TIMES[-1] if TIMES else 0) + (1 << 32) // (SLOTS - k))


def arrivals(name, weight):
    """Of each slot: when the node comes to it, and what decides if others do so at the same time."""
    seed = mix(fnv1a(name.encode()))
    keys = [mix(seed + n * 0x9E3779B97F4A7C15 & BITS) >> 32 for n in range(1, 16)]
    factors, offsets, slope = [key | 1 for key in keys[:6]], keys[6:12], keys[12] % 128
    line_factor, line_offset = keys[13] | 1, keys[14]
    for slot in range(SLOTS):
        x, y = divmod(slot, 128)
        line = ((y ^ field_product(slope, x)) * line_factor + line_offset) % 128
        v = slot
        for factor, offset in zip(factors, offsets):
            v = (v * factor + offset) % SLOTS
            v ^= v >> 7
        place = line * 128 + v // 128 if line < 4 else 512 + v * 31 // 32
        yield (TIMES[place] << 27) // weight, mix(seed ^ slot), name


def place(members):
    """For each slot, its owner's name; and for each slot all arrivals."""
    total = sum(weight for _, weight in members)
    room = {}
    for name, weight in members:
        fair = SLOTS * weight
        room[name] = max(fair * (1000 + len(members)) // (1000 * total), -(-fair // total))
    ways = [list(arrivals(name, weight)) for name, weight in members]
    race = ((way[slot][0], slot, way[slot][1], way[slot][2]) for way in ways for slot in range(SLOTS))
    owners = [None] * SLOTS
    for _, slot, _, name in sorted(race):
        if owners[slot] is None and room[name]:
            owners[slot] = name
            room[name] -= 1
    return owners, lambda slot: [name for _, _, name in sorted(way[slot] for way in ways)]


def digest(members, owners):
    """FNV-1a of the owners' indices, two bytes each, the lower one first."""
    index = {name: number for number, (name, _) in enumerate(members)}
    return f"{fnv1a(b''.join(index[owner].to_bytes(2, 'little') for owner in owners)):016x}"


def case(members):
    owners, order = place(members)
    some = [0, 1, 2, 1000, 5461, 8191, 12182, 16383]
    rankings = {slot: [owners[slot]] + [name for name in order(slot) if name != owners[slot]] for slot in some}
    keys = ["", "foo", "user:1000", "{user:1000}.cart", "ключ"]
    return {
        "members": [{"name": name, "weight": weight} for name, weight in members],
        "loads": [owners.count(name) for name, _ in members],
        "digest": digest(members, owners),
        "owners": {str(slot): owners[slot] for slot in range(0, SLOTS, 1024)},
        "keys": {key: owners[slot_of(key.encode())] for key in keys},
        "rankings": {str(slot): ranking[:8] for slot, ranking in rankings.items()},
    }


def main():
    keys = ["", "foo", "123456789", "{user1000}.following", "foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}", "a{b", "ключ"]
    sets = [
        [("only", 1)],
        [("a", 1), ("b", 1)],
        [("node-1", 1), ("node-2", 1), ("node-3", 1)],
        [("small", 1), ("middle", 2), ("large", 5)],
        [("10.0.0.1:6379", 64000), ("10.0.0.2:6379", 32000), ("10.0.0.3:6379", 1), ("10.0.0.4:6379", 1000000)],
        [("ä", 1), ("日本", 1), (" ", 1)],
        [(f"cache-{number}", 1) for number in range(30)],
        [(f"cache-{number}", 1 + number % 3) for number in range(50)],
        [("8yn0iYCKYHlIj4-BwPqk", 3), ("GReLUrM4wMqfg9yzV3KQ", 3)],
    ]
    found = {"slots": {key: slot_of(key.encode()) for key in keys}, "placements": [case(members) for members in sets]}
    print(json.dumps(found, indent=1, ensure_ascii=False))


main()
