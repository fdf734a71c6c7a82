"""CPython's own pickle module, for sessions of the Python library.

`describe` reads a JSON list of base64 pickles and writes what they hold, in a form in which types, order, bits and identity
count. `repickle` reads the same and writes each again in every protocol. `pickle` reads a JSON list of expressions and
writes a session that holds the value of each under `value`, in every protocol.
"""

import base64
import datetime
import decimal
import json
import pickle
import struct
import sys
import types
import uuid


class PickleableSession(object):
    def __init__(self, expires, last_accessed, data):
        self._expires = expires
        self._last_accessed = last_accessed
        self._data = data


class PicklableSession(PickleableSession):
    pass


for name in ("vishnu", "vishnu.backend", "vishnu.backend.client"):
    sys.modules[name] = types.ModuleType(name)
for session_class in (PickleableSession, PicklableSession):
    session_class.__module__ = "vishnu.backend.client"
    setattr(sys.modules["vishnu.backend.client"], session_class.__name__, session_class)


class Describer:
    def __init__(self):
        self.seen = {}
        self.path = []

    def session(self, session):
        # TypeScript keeps these two to the millisecond.
        times = [time and str(time)[:23] for time in (session._expires, session._last_accessed)]
        return [type(session).__name__, times, self.value(session._data)]

    def value(self, value):
        if id(value) in self.path:
            return ["itself", len(self.path) - self.path.index(id(value))]
        if isinstance(value, (list, dict, set, bytearray)):
            if id(value) in self.seen:
                return ["again", self.seen[id(value)]]
            self.seen[id(value)] = len(self.seen)
        self.path.append(id(value))
        contents = self.contents(value)
        self.path.pop()
        return [type(value).__name__, contents]

    def contents(self, value):
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return [[self.value(key), self.value(item)] for key, item in value.items()]
        if isinstance(value, (set, frozenset)):
            return sorted((self.value(item) for item in value), key=json.dumps)
        if isinstance(value, float):
            return "nan" if value != value else struct.pack(">d", value).hex()
        if isinstance(value, (datetime.datetime, datetime.time)):
            return [value.isoformat(), value.fold, repr(value.tzinfo)]
        return repr(value)


def session_of(expression):
    now = datetime.datetime(2026, 2, 28, 12, 34, 56, 789000)
    return PickleableSession(now, now, {"value": eval(expression)})


def pickles(session):
    return [base64.b64encode(pickle.dumps(session, protocol)).decode() for protocol in range(6)]


def load(text):
    return pickle.loads(base64.b64decode(text))


tasks = {
    "describe": lambda text: Describer().session(load(text)),
    "repickle": lambda text: pickles(load(text)),
    "pickle": lambda text: pickles(session_of(text)),
}
json.dump([tasks[sys.argv[1]](text) for text in json.load(sys.stdin)], sys.stdout)
