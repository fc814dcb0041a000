"""Django's Redis cache backend against the server on port sys.argv[1]."""

import sys
import time
import unittest

import django
from django.conf import settings

PORT = int(sys.argv.pop(1))


def backend(**options):
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://127.0.0.1:{PORT}/1", **options}


settings.configure(
    CACHES={
        "default": backend(),
        "short": backend(KEY_PREFIX="short", TIMEOUT=0.05),
        "versioned": backend(KEY_PREFIX="v", VERSION=7),
        "forever": backend(KEY_PREFIX="forever", TIMEOUT=None),
    }
)
django.setup()

from django.core.cache import cache, caches  # noqa: E402  (needs the settings)


def wait_gone(key):
    deadline = time.monotonic() + 10
    while cache.get(key) is not None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{key} does not expire")
        time.sleep(0.01)


class Cache(unittest.TestCase):
    def setUp(self):
        cache.clear()

    def server(self):
        return cache._cache.get_client(None, write=True)

    def ttl(self, key):
        return self.server().ttl(cache.make_and_validate_key(key))

    def test_set_and_get(self):
        for value in ["text", "", b"\x00\xff", 5, -1, 2**70, 1.5, None, True, [1, {"a": (2, 3)}], "größe ✓", "x" * 1_000_000]:
            cache.set("k", value)
            self.assertEqual(cache.get("k", "default"), value)
        self.assertEqual(cache.get("absent", "default"), "default")
        self.assertIsNone(cache.get("absent"))

    def test_get_many_and_set_many(self):
        data = {f"k{number}": {"n": number} for number in range(300)}
        self.assertEqual(cache.set_many(data), [])
        self.assertEqual(cache.get_many([*data, "absent"]), data)
        self.assertEqual(cache.set_many({"a": 1, "b": 2}, timeout=100), [])
        self.assertTrue(0 < self.ttl("a") <= 100)
        cache.delete_many(["a", "k1", "absent"])
        self.assertEqual(cache.get_many(["a", "b", "k1"]), {"b": 2})

    def test_add(self):
        self.assertIs(cache.add("k", 1), True)
        self.assertIs(cache.add("k", 2), False)
        self.assertEqual(cache.get("k"), 1)
        self.assertIs(cache.add("gone", 1, timeout=0), True)
        self.assertIsNone(cache.get("gone"))
        self.assertIs(cache.add("limited", 1, timeout=100), True)
        self.assertTrue(0 < self.ttl("limited") <= 100)

    def test_incr_and_decr(self):
        cache.set("n", 10)
        self.assertEqual(cache.incr("n"), 11)
        self.assertEqual(cache.incr("n", 9), 20)
        self.assertEqual(cache.decr("n", 25), -5)
        self.assertEqual(cache.get("n"), -5)
        with self.assertRaises(ValueError):
            cache.incr("absent")
        cache.set("n", 1, timeout=100)
        cache.incr("n")
        self.assertTrue(0 < self.ttl("n") <= 100)

    def test_touch_and_ttl(self):
        cache.set("k", "v", timeout=100)
        self.assertTrue(0 < self.ttl("k") <= 100)
        self.assertIs(cache.touch("k", 1000), True)
        self.assertTrue(100 < self.ttl("k") <= 1000)
        self.assertIs(cache.touch("k", None), True)
        self.assertEqual(self.ttl("k"), -1)
        self.assertIs(cache.touch("k"), True)
        self.assertTrue(0 < self.ttl("k") <= 300)
        self.assertIs(cache.touch("k", 0), True)
        self.assertIsNone(cache.get("k"))
        self.assertIs(cache.touch("absent", 10), False)
        cache.set("k", "v", timeout=None)
        self.assertEqual(self.ttl("k"), -1)
        cache.set("k", "v", timeout=0)
        self.assertIsNone(cache.get("k"))
        cache.set("k", "v", timeout=-1)
        self.assertIsNone(cache.get("k"))
        cache.set("k", "v", timeout=1)
        wait_gone("k")

    def test_delete_and_has_key(self):
        cache.set("k", "v")
        self.assertTrue(cache.has_key("k"))  # noqa: W601  (this method is what is tested)
        self.assertIn("k", cache)
        self.assertIs(cache.delete("k"), True)
        self.assertIs(cache.delete("k"), False)
        self.assertNotIn("k", cache)

    def test_clear(self):
        cache.set_many({"a": 1, "b": 2})
        self.assertIs(cache.clear(), True)
        self.assertEqual(cache.get_many(["a", "b"]), {})

    def test_get_or_set(self):
        calls = []
        self.assertEqual(cache.get_or_set("k", lambda: calls.append(1) or "made", 100), "made")
        self.assertEqual(cache.get_or_set("k", lambda: calls.append(1) or "again", 100), "made")
        self.assertEqual(len(calls), 1)
        self.assertEqual(cache.get_or_set("plain", 5), 5)

    def test_versions(self):
        cache.set("k", "one")
        cache.set("k", "two", version=2)
        self.assertEqual(cache.get("k"), "one")
        self.assertEqual(cache.get("k", version=2), "two")
        self.assertEqual(cache.incr_version("k", version=2), 3)
        self.assertEqual(cache.get("k", version=3), "two")
        self.assertIsNone(cache.get("k", version=2))
        self.assertEqual(cache.decr_version("k", version=3), 2)
        caches["versioned"].set("k", "seven")
        self.assertEqual(caches["versioned"].get("k"), "seven")
        self.assertIsNone(caches["versioned"].get("k", version=6))
        self.assertEqual(cache.get("k"), "one")

    def test_timeouts_of_the_backend(self):
        caches["forever"].set("k", "v")
        self.assertEqual(self.server().ttl("forever:1:k"), -1)
        cache.set("k", "v")
        self.assertTrue(0 < self.ttl("k") <= 300)

    def test_sessions_of_many_threads(self):
        import threading

        errors = []

        def work(name):
            try:
                for number in range(200):
                    cache.set(f"{name}:{number}", number)
                    assert cache.get(f"{name}:{number}") == number
                    cache.add("shared", 0, timeout=None)
                    cache.incr("shared")
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.assertEqual(cache.get("shared"), 1000)


if __name__ == "__main__":
    unittest.main()
