"""Google's own client of App Engine's memcache: one call a line, as JSON, and one line for each answer.

Values are Base64. The ticket and the API server are those of the environment.
"""
import base64
import json
import sys

from google.appengine.api import api_base_pb2, apiproxy_stub_map, memcache
from google.appengine.api.memcache import memcache_stub_service_pb2
from google.appengine.runtime import default_api_stub

default_api_stub.Register(default_api_stub.DefaultApiStub())
client = memcache.Client()


def text(value):
    """Bytes only: the client makes of what has other flags what these tell."""
    if value is not None and not isinstance(value, bytes):
        raise TypeError('the value has other flags than those of bytes')
    return None if value is None else base64.b64encode(value).decode()


def get(key, namespace):
    return text(client.get(key, namespace=namespace))


def gets(key, namespace):
    return text(client.gets(key, namespace=namespace))


def set_value(key, namespace, value, time=0):
    return client.set(key, base64.b64decode(value), time, namespace=namespace)


def add(key, namespace, value, time=0):
    return client.add(key, base64.b64decode(value), time, namespace=namespace)


def cas(key, namespace, value, time=0):
    return client.cas(key, base64.b64decode(value), time, namespace=namespace)


def delete(key, namespace):
    return client.delete(key, namespace=namespace)


def expiry(key, namespace):
    """Unix seconds, 0 for never. Does not count as a use of the key."""
    item = client.peek(key, namespace=namespace)
    return item and item.get_expiration_time_sec()


def is_there(key, namespace):
    """Does not count as a use of the key."""
    return client.peek(key, namespace=namespace) is not None


def limit(bytes_in_all):
    """The server then evicts what was used least recently when something is stored beyond."""
    request = memcache_stub_service_pb2.SetMaxSizeRequest(max_size_bytes=bytes_in_all)
    apiproxy_stub_map.MakeSyncCall('memcache', 'SetMaxSize', request, api_base_pb2.VoidProto())


calls = {
    'get': get,
    'gets': gets,
    'set': set_value,
    'add': add,
    'cas': cas,
    'delete': delete,
    'expiry': expiry,
    'isThere': is_there,
    'limit': limit,
}

for line in sys.stdin:
    name, *args = json.loads(line)
    try:
        answer = {'answer': calls[name](*args)}
    except Exception as error:
        answer = {'error': repr(error)}
    print(json.dumps(answer), flush=True)
