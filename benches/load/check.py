"""What must hold after any traffic: check.py URL FOLDER MAX_SESSIONS SECRET

FOLDER has the requests that traffic.py sent, with what came back. The rest is asked over the API."""

import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict

from traffic import sign

url, folder, max_sessions, secret = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
requests = [request for file in folder.glob("requests-*.json") for request in json.loads(file.read_text())]
admin = sign(secret, {"sub": "1", "role": "admin", "exp": int(time.time()) + 3600})
faults = []


def expect(holds, fault):
    if not holds:
        faults.append(fault)


def get(path):
    """The body, and the path of the next page if there is one."""
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {admin}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        next_page = re.match(r"<(.+)>", answer.headers.get("Link", ""))
        return json.load(answer), next_page and next_page[1]


def history(user):
    sessions, page = [], f"/sessions/user/{user}?include_inactive=true&limit=100"
    while page:
        more, page = get(page)
        sessions += more
    return sessions


def has_receipt(session):
    """A live session has no receipt, an ended one a whole one. An expiry is the only end that nobody caused."""
    if session["is_active"]:
        return "ended_at" not in session
    by_somebody = session.get("ended_by") is not None or session.get("end_reason") == "expired"
    return by_somebody and session.get("end_reason") and session["created_at"] <= session.get("ended_at", "")


def enters(user, sid):
    """Whether a token with this session gets in: what the service says to a check and to a sign-in."""
    now = int(time.time())
    token = sign(secret, {"sub": str(user), "sid": sid, "iat": now, "exp": now + 3600})
    for method, path in [("GET", "/sessions/current"), ("POST", "/sessions/create")]:
        request = urllib.request.Request(url + path, method=method, headers={"Authorization": f"Bearer {token}"})
        try:
            urllib.request.urlopen(request, timeout=30).close()
            return True
        except urllib.error.HTTPError as refusal:
            expect(refusal.code == 401 and json.load(refusal)["code"] == "session_ended", f"{path}: {refusal.code}")
    return False


# Each answer is one of those that the traffic can get.
for request in requests:
    # A back end that asks is told so with 409.
    is_refused = (request["status"], request["code"]) in ((401, "session_ended"), (409, "session_already_ended"))
    expect(request["status"] in (200, 201) or is_refused, f"an answer that must not be: {request}")

live, ended, reasons = {}, {}, Counter()
for user in sorted({request["user"] for request in requests}):
    listed = [session["id"] for session in get(f"/sessions/user/{user}")[0]]
    past = history(user)
    ids = [session["id"] for session in past]
    expect(len(listed) <= max_sessions, f"user {user} has {len(listed)} live sessions")
    expect(ids == sorted(set(ids), reverse=True), f"the history of user {user} is out of order or repeats itself")
    expect([s["id"] for s in past if s["is_active"]] == listed, f"list and history of user {user} disagree")
    for session in past:
        expect(has_receipt(session), f"no proper receipt: {session}")
        reasons[session.get("end_reason", "live")] += 1
    live.update((id, user) for id in listed)
    ended.update((id, user) for id in set(ids) - set(listed))

# When the end of a session was confirmed for the first time, and each end of all sessions of a user.
confirmed, all_ended = {}, defaultdict(list)
for request in sorted(requests, key=lambda request: request["received"]):
    if request["status"] in (200, 201):
        for session in request["ended"]:
            confirmed.setdefault(session, request["received"])
        if request["kind"] in ("end all", "log out everywhere"):
            all_ended[request["user"]].append(request)
opened = {request["session"] for request in requests if request["kind"] == "sign in" and request["session"]}
expect(opened and confirmed and all_ended, "the traffic opened or ended nothing")
expect(not confirmed.keys() & live.keys(), "a session that was confirmed as ended is live")
expect(confirmed.keys() <= ended.keys(), "a session that was confirmed as ended is gone")
expect(opened <= live.keys() | ended.keys(), "a session that was confirmed as opened is gone")

# The session of each token: the one that it names, or that it opened. It is one for ever.
session_of = {}
for request in requests:
    token, session = request["token"], request["session"]
    if token and (token["sid"] or session):
        known = session_of.setdefault(token["id"], token["sid"] or session)
        expect(session in (None, known), f"a token of two sessions: {request}")

late = asked = refused = 0
for request in requests:
    token = request["token"]
    if confirmed.get(request["asked"], request["sent"]) < request["sent"]:
        asked += 1
        expect(request["status"] == 409, f"a back end is told that an ended session is live: {request}")
    if not token:
        continue
    session, entered = session_of.get(token["id"]), request["status"] != 401
    if session in live:
        expect(entered, f"the token of a live session was refused: {request}")
    if confirmed.get(session, request["sent"]) < request["sent"]:
        late += 1
        expect(not entered, f"the token of an ended session got in: {request}")
    cut_off = any(
        token["iat"] and token["iat"] < int(end["clock"]) and end["received"] < request["sent"]
        for end in all_ended[request["user"]]
    )
    if request["kind"] == "sign in" and cut_off:
        refused += 1
        expect(not entered, f"a token from before an end of all sessions signed in: {request}")
for session, user in list(ended.items())[:: max(1, len(ended) // 500)]:
    expect(not enters(user, session), f"a token of the ended session {session} gets in")

print(f"Checked {len(set(live.values()) | set(ended.values()))} users with {len(live)} live and {len(ended)} ended sessions {dict(reasons)}:")
print(f"  at most {max_sessions} live each; every ended one has its receipt; lists agree with the history")
print(f"  all {len(opened)} confirmed sign-ins are there; none of {len(confirmed)} confirmed endings is live")
print(f"  {late} requests after the confirmed end of their token's session, {asked} questions of a back end about such a")
print(f"  session, {refused} sign-ins with a token from before an end of all sessions: all refused")
print("  no request with the token of a live session was refused")
for fault in faults[:20]:
    print("FAULT:", fault)
sys.exit(1 if faults else 0)
