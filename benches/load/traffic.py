"""Users, their back end and an admin at work on the service: traffic.py URL FOLDER SECONDS RATE CONNECTIONS SECRET

Each connection does one thing after the other: 70 % of the requests check the current session, the others sign in,
refresh, list and end. What was sent and what came back is written to FOLDER/requests-*.json for check.py. Prints the
requests a second, the latency of each kind, and the answers by status."""

import base64
import hashlib
import hmac
import itertools
import json
import multiprocessing
import pathlib
import random
import socket
import sys
import threading
import time
from collections import Counter, defaultdict
from urllib.parse import urlsplit

PROCESSES = 2
USERS = range(1001, 1201)
# More devices than a user may have sessions, so that some sign-ins refresh a session and some evict one.
DEVICES = 8
# Percent of the requests.
MIX = {"check": 70, "sign in": 12, "refresh": 8, "list": 3, "list own": 2, "end one": 2, "end own": 1, "log out": 1,
       "end all": 0.5, "log out everywhere": 0.5}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(secret, claims):
    head = base64url(b'{"alg":"HS256","typ":"JWT"}') + "." + base64url(json.dumps(claims).encode())
    return head + "." + base64url(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


class Connection:
    """One kept connection, with no more of HTTP than this service needs."""

    def __init__(self, url):
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.file = address.netloc, self.socket.makefile("rb")

    def call(self, method, path, token, body=None):
        text = json.dumps(body) if body is not None else ""
        head = [f"{method} {path} HTTP/1.1", f"host: {self.host}", f"authorization: Bearer {token}"]
        head += ["content-type: application/json", f"content-length: {len(text)}"] if text else []
        self.socket.sendall("\r\n".join([*head, "", text]).encode())
        status = int(self.file.readline().split()[1])
        headers = dict(line.decode().lower().strip().split(": ", 1) for line in iter(self.file.readline, b"\r\n"))
        return status, json.loads(self.file.read(int(headers["content-length"])))


class Back:
    """The state that the connections of one process share: the tokens that were handed out, by user."""

    def __init__(self, number, url, secret):
        self.url, self.secret, self.requests = url, secret, []
        self.tokens, self.unused = defaultdict(list), defaultdict(list)
        self.ids = (f"{number}-{count}" for count in itertools.count())
        self.admin = sign(secret, {"sub": "1", "role": "admin", "exp": int(time.time()) + 36000})

    def issue(self, user, session=None):
        """A token of the back end; without a session it names none, and every second of those has no `iat`."""
        issued, number = int(time.time()), next(self.ids)
        claims = {"sub": str(user), "exp": issued + 36000, "jti": number, "iat": issued}
        if session:
            claims["sid"] = session
        elif random.random() < 0.5:
            del claims["iat"]
        token = {"id": number, "user": user, "sid": session, "iat": claims.get("iat"), "text": sign(self.secret, claims)}
        return token

    def known(self, user):
        return random.choice(self.tokens[user][-6:]) if self.tokens[user] else None

    def new(self, user):
        """A token that has opened nothing yet. One of five was issued some time ago."""
        token, old = self.issue(user), self.unused[user]
        if random.random() < 0.2:
            old.append(token)
            token = old.pop(0) if len(old) > 1 else self.issue(user)
        return token


class Client:
    def __init__(self, back):
        self.back, self.connection = back, Connection(back.url)

    def send(self, kind, token, method, path, body=None, user=None):
        sent = time.monotonic(), time.time()
        status, answer = self.connection.call(method, path, token["text"] if token else self.back.admin, body)
        done = answer if isinstance(answer, dict) else {}
        ended = done.get("sessions") or ([done["session"]] if "session" in done else [])
        self.back.requests.append({
            "kind": kind, "sent": sent[0], "received": time.monotonic(), "clock": sent[1], "status": status,
            "code": done.get("code"), "user": user or token["user"],
            "token": token and {key: token[key] for key in ("id", "sid", "iat")},
            "session": done.get("id"), "ended": [session["id"] for session in ended] + done.get("evicted", []),
        })
        return status, done

    def act(self, kind, user):
        token = self.back.known(user)
        if kind == "sign in" or not token:
            return self.sign_in(user)
        if kind == "check":
            return self.send(kind, token, "GET", "/sessions/current")
        if kind == "refresh":
            return self.send(kind, token, "POST", "/sessions/create", self.device())
        if kind == "list":
            return self.send(kind, None, "GET", f"/sessions/user/{user}", user=user)
        if kind == "list own":
            return self.send(kind, token, "GET", "/sessions/my-sessions")
        if kind == "end one":
            return self.send(kind, None, "DELETE", f"/sessions/user/{user}/session/{token['session']}", user=user)
        if kind == "end own":
            return self.send(kind, token, "DELETE", f"/sessions/session/{token['session']}")
        if kind == "log out":
            return self.send(kind, token, "DELETE", "/sessions/logout")
        if kind == "end all":
            return self.send(kind, None, "DELETE", f"/sessions/user/{user}", user=user)
        return self.send(kind, token, "DELETE", "/sessions/logout-all")

    def sign_in(self, user):
        token = self.back.new(user)
        status, session = self.send("sign in", token, "POST", "/sessions/create", self.device())
        if status in (200, 201):
            named = self.back.issue(user, session["id"])
            token["session"] = named["session"] = session["id"]
            # Some back ends put the session into the tokens that they issue from now on.
            self.back.tokens[user].append(random.choice([token, named]))

    def device(self):
        return {"device_fingerprint": f"device {random.randrange(DEVICES)}"}

    def work(self, until, pause):
        while (now := time.monotonic()) < until:
            [kind] = random.choices(list(MIX), MIX.values())
            self.act(kind, random.choice(USERS))
            time.sleep(max(0, now + pause - time.monotonic()))


def run_process(number, url, folder, until, pause, connections, secret):
    back = Back(number, url, secret)
    clients = [Client(back) for _ in range(connections)]
    threads = [threading.Thread(target=client.work, args=(until, pause)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (folder / f"requests-{number}.json").write_text(json.dumps(back.requests))


def quantile(values, q):
    return sorted(values)[round((len(values) - 1) * q)] * 1e3


def main():
    url, folder, secret = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[6]
    seconds, rate, connections = map(int, sys.argv[3:6])
    pause, until = connections / rate if rate else 0, time.monotonic() + seconds
    processes = [
        multiprocessing.Process(target=run_process, args=(number, url, folder, until, pause, each, secret))
        for number in range(PROCESSES)
        if (each := (connections + number) // PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit("a client failed")
    report([request for file in folder.glob("requests-*.json") for request in json.loads(file.read_text())], seconds)


def report(requests, seconds):
    print(f"{len(requests)} requests, {len(requests) / seconds:.0f} a second")
    times = defaultdict(list)
    for request in requests:
        times[request["kind"]].append(request["received"] - request["sent"])
    times["all"] = [time for kind in list(times) for time in times[kind]]
    for kind, values in times.items():
        print(f"  {kind}: {len(values)}, p50 {quantile(values, 0.5):.1f} ms, p99 {quantile(values, 0.99):.1f} ms")
    answers = Counter((request["status"], request["code"]) for request in requests)
    for (status, code), count in sorted(answers.items(), key=str):
        print(f"  status {status} {code or ''}: {count}")


if __name__ == "__main__":
    main()
