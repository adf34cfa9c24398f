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
MIX = {"check": 70, "sign in": 12, "refresh": 8, "list": 2, "list own": 2, "end one": 2, "end own": 1, "log out": 1,
       "summary": 1, "end all": 0.5,
       "log out everywhere": 0.5}


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

    def call(self, method, path, token, body=None, key=None):
        text = json.dumps(body) if body is not None else ""
        head = [f"{method} {path} HTTP/1.1", f"host: {self.host}", f"authorization: Bearer {token}"]
        head += [f"idempotency-key: {key}"] if key else []
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
        claims = {"sub": "1", "role": "admin", "exp": int(time.time()) + 36000, "jti": f"admin-{number}"}
        status, session = Connection(url).call("POST", "/sessions/create", sign(secret, claims))
        assert status == 201, session
        # One names the admin's session, the other opened it.
        self.admins = [sign(secret, claims), sign(secret, claims | {"sid": session["id"]})]
        self.service = sign(secret, {"sub": "backend", "role": "service", "exp": int(time.time()) + 36000})

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

    def send(self, kind, token, method, path, body=None, user=None, caller=None, key=None, asked=None):
        """`token` is a user's; without one the caller is an admin or the back end. `asked` is the session it asks about."""
        sent = time.monotonic(), time.time()
        caller = token["text"] if token else caller or random.choice(self.back.admins)
        status, answer = self.connection.call(method, path, caller, body, key)
        done = answer if isinstance(answer, dict) else {}
        ended = done.get("sessions") or ([done["session"]] if "session" in done else [])
        self.back.requests.append({
            "kind": kind, "sent": sent[0], "received": time.monotonic(), "clock": sent[1], "status": status,
            "code": done.get("code"), "user": user or token["user"],
            "token": token and {key: token[key] for key in ("id", "sid", "iat")},
            "asked": asked, "session": done.get("id"), "ended": [session["id"] for session in ended] + done.get("evicted", []),
        })
        return status, done

    def act(self, kind, user):
        token = self.back.known(user)
        if kind == "sign in" or not token:
            return self.sign_in(user)
        if kind == "check":
            return self.send(kind, token, "GET", "/sessions/current")
        if kind == "refresh" and token["sid"]:
            return self.ask(token)
        if kind == "refresh":
            return self.send(kind, token, "POST", "/sessions/create", self.device())
        if kind == "list":
            return self.send(kind, None, "GET", f"/sessions/user/{user}", user=user)
        if kind == "summary":
            path = f"/sessions/summary?user_id={user}&user_id={random.choice(USERS)}"
            return self.send(kind, None, "GET", path, user=user, caller=random.choice([None, self.back.service]))
        if kind == "list own":
            return self.send(kind, token, "GET", "/sessions/my-sessions")
        if kind == "end one":
            return self.send(kind, None, "DELETE", f"/sessions/user/{user}/session/{token['session']}", user=user)
        if kind == "end own":
            return self.send(kind, token, "DELETE", f"/sessions/session/{token['session']}")
        if kind == "log out":
            return self.send(kind, token, "DELETE", "/sessions/logout")
        if kind == "end all" and random.random() < 0.5:
            body = {"user_ids": [user]}
            return self.send(kind, None, "POST", "/sessions/end", body, user=user, caller=self.back.service)
        if kind == "end all":
            return self.send(kind, None, "DELETE", f"/sessions/user/{user}", user=user)
        return self.send(kind, token, "DELETE", "/sessions/logout-all")

    def ask(self, token):
        """What a back end asks before it refreshes a token: whether the session is live."""
        user, session = token["user"], token["sid"]
        path = f"/sessions/user/{user}/session/{session}/activity"
        status, _ = self.send("refresh", None, "POST", path, {}, user=user, caller=self.back.service, asked=session)
        if status == 200:
            self.hand_out(self.back.issue(user, session), session)

    def hand_out(self, token, session):
        token["session"] = session
        self.back.tokens[token["user"]].append(token)

    def sign_in_by_back_end(self, user):
        """One of five is sent twice, as after an answer that was lost."""
        key, body = next(self.back.ids), self.device()
        for _ in range(2 if random.random() < 0.2 else 1):
            status, session = self.send(
                "sign in", None, "POST", f"/sessions/user/{user}", body, user=user, caller=self.back.service, key=key
            )
        if status in (200, 201):
            self.hand_out(self.back.issue(user, session["id"]), session["id"])

    def sign_in(self, user):
        if random.random() < 0.3:
            return self.sign_in_by_back_end(user)
        token = self.back.new(user)
        status, session = self.send("sign in", token, "POST", "/sessions/create", self.device())
        if status in (200, 201):
            # Some back ends put the session into the tokens that they issue from now on.
            named = self.back.issue(user, session["id"])
            self.hand_out(random.choice([token, named]), session["id"])

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
