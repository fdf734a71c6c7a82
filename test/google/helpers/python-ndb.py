"""Sessions as the Python library keeps them in App Engine NDB: Google's own ndb, on the Datastore emulator.

Usage: python-ndb.py <App Engine SDK> <emulator's host:port> <project>

Reads requests as lines of JSON: {"do": "get", "sid"}, {"do": "set", "sid", "data": Python expression of a dict, "expires":
seconds since 1970 or null}, {"do": "cleanup", "now": seconds, "dormant": seconds}. Answers each with a line of JSON. Every
request has a context of its own, as in App Engine; memcache, where ndb keeps copies, is Google's stub in this process.
`"memcache": false` does without the copies.
"""

import datetime
import json
import os
import sys
import warnings

sdk, host, project = sys.argv[1:]
warnings.simplefilter("ignore")
os.environ["APPLICATION_ID"] = project
os.environ["AUTH_DOMAIN"] = "test"
sys.path.extend(os.path.join(sdk, folder) for folder in (".", "lib/six", "lib/ruamel"))

import grpc
from google.appengine.api import apiproxy_stub_map
from google.appengine.api.memcache import memcache_stub
from google.appengine.ext import ndb
from google.appengine.runtime import apiproxy_errors


def field(number, content):
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def fields(message):
    """The fields that hold bytes, and their contents."""
    found, place = {}, 0

    def number():
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        tag = number()
        value = number()
        if tag & 7 == 2:
            found[tag >> 3] = message[place : place + value]
            place += value
        else:
            found[tag >> 3] = value
    return found


class EmulatorStub(object):
    """The emulator serves the protocol of the bundled services, too."""

    def __init__(self):
        self.channel = grpc.insecure_channel(host)
        self.handle = self.channel.unary_unary("/apphosting.tools.devappserver2.CallHandler/HandleCall")

    def CreateRPC(self):
        from google.appengine.api import apiproxy_rpc

        return apiproxy_rpc.RPC(stub=self)

    def MakeSyncCall(self, service, call, request, response, request_id=None):
        message = field(2, service.encode()) + field(3, call.encode()) + field(4, request.SerializeToString())
        answer = fields(self.handle(message, timeout=30))
        if 3 in answer:
            error = fields(answer[3])
            raise apiproxy_errors.ApplicationError(error.get(1, 0), error.get(2, b"").decode())
        if 2 in answer or 5 in answer:
            raise RuntimeError(answer)
        response.ParseFromString(answer.get(1, b""))


apiproxy_stub_map.apiproxy = apiproxy_stub_map.APIProxyStubMap()
apiproxy_stub_map.apiproxy.RegisterStub("datastore_v3", EmulatorStub())
apiproxy_stub_map.apiproxy.RegisterStub("memcache", memcache_stub.MemcacheServiceStub())


class VishnuSession(ndb.Model):
    expires = ndb.DateTimeProperty(required=False)
    last_accessed = ndb.DateTimeProperty(required=True)
    data = ndb.PickleProperty(required=True, compressed=True)


def time(seconds):
    return None if seconds is None else datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)


def answer(request):
    ndb.get_context().clear_cache()
    ndb.get_context().set_memcache_policy(request.get("memcache", True))
    if request["do"] == "set":
        now = time(request.get("now", 1800000000))
        data = eval(request["data"], {"datetime": datetime})
        VishnuSession(id=request["sid"], expires=time(request["expires"]), last_accessed=now, data=data).put()
        return "stored"
    if request["do"] == "cleanup":
        now, dormant = time(request["now"]), time(request["now"] - request["dormant"])
        over = ndb.OR(
            ndb.AND(VishnuSession.expires <= now, VishnuSession.expires != None), VishnuSession.last_accessed <= dormant
        )
        keys = VishnuSession.query(over).fetch(keys_only=True)
        ndb.delete_multi(keys)
        return len(keys)
    session = VishnuSession.get_by_id(request["sid"])
    if session is None:
        return None
    return {
        "expires": session.expires and str(session.expires),
        "last_accessed": session.last_accessed and str(session.last_accessed),
        "data": repr(session.data),
    }


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:
        reply = {"error": "%s: %s" % (type(error).__name__, error)}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()
