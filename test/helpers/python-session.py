"""One request of the Python library against Redis, with CPython's own pickle: what the library reads, it rewrites.

Usage: python-session.py <port> <session id> get <key> | set <key> <JSON value> | terminate

Prints the value that was found, as JSON, or `absent` where there is no session. The class has the library's module path and
attributes; Redis is spoken to directly, so no package is needed.
"""

import datetime
import json
import pickle
import socket
import sys
import types


class PickleableSession(object):
    def __init__(self, expires, last_accessed, data):
        self._expires = expires
        self._last_accessed = last_accessed
        self._data = data


for name in ("vishnu", "vishnu.backend", "vishnu.backend.client"):
    sys.modules[name] = types.ModuleType(name)
PickleableSession.__module__ = "vishnu.backend.client"
sys.modules["vishnu.backend.client"].PickleableSession = PickleableSession


def command(port, *args):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        parts = [arg if isinstance(arg, bytes) else arg.encode() for arg in args]
        connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        replies = connection.makefile("rb")
        line = replies.readline()
        if line.startswith(b"$") and line != b"$-1\r\n":
            return replies.read(int(line[1:]))
        if line.startswith(b"-"):
            raise RuntimeError(line)
        return None


def main(port, sid, action, key=None, value=None):
    if action == "terminate":
        command(port, "DEL", sid)
        return None
    stored = command(port, "GET", sid)
    session = pickle.loads(stored) if stored else PickleableSession(None, None, {})
    found = session._data.get(key)
    session._last_accessed = datetime.datetime.utcnow()
    if action == "set":
        session._data[key] = json.loads(value)
    if stored or action == "set":
        command(port, "SET", sid, pickle.dumps(session))
    return found if stored else "absent"


print(json.dumps(main(int(sys.argv[1]), *sys.argv[2:])))
