"""What must hold after any traffic, asked over the API: check.py URL FOLDER MAX_SESSIONS

FOLDER has the users with their tokens, and what the service confirmed while the traffic ran (traffic.lua)."""

import json
import pathlib
import re
import sys
import urllib.request
from collections import Counter

url, folder, max_sessions = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
tokens = dict(line.split() for line in (folder / "tokens").read_text().splitlines())
faults = []


def expect(holds, fault):
    if not holds:
        faults.append(fault)


def get(path):
    """The body, and the path of the next page if there is one."""
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {tokens['admin']}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        next_page = re.match(r"<(.+)>", answer.headers.get("Link", ""))
        return json.load(answer), next_page and next_page[1]


def history(user):
    sessions, page = [], f"/sessions/user/{user}?include_inactive=true&limit=100"
    while page:
        more, page = get(page)
        sessions += more
    return sessions


def is_well_told(session):
    """A session is live without a receipt, or has ended with all of it; only an expiry is nobody's doing."""
    if session["is_active"]:
        return "ended_at" not in session
    by_somebody = session.get("ended_by") is not None or session.get("end_reason") == "expired"
    return by_somebody and session.get("end_reason") and session["created_at"] <= session.get("ended_at", "")


def confirmed():
    ids = {"created": set(), "ended": set()}
    for file in folder.glob("confirmed-*"):
        for line in file.read_text().splitlines():
            deed, session = line.split()
            ids[deed].add(session)
    return ids["created"], ids["ended"]


live, ended, reasons = set(), set(), Counter()
for user in tokens.keys() - {"admin"}:
    listed = [session["id"] for session in get(f"/sessions/user/{user}")[0]]
    past = history(user)
    ids = [session["id"] for session in past]
    expect(len(listed) <= max_sessions, f"user {user} has {len(listed)} live sessions")
    expect(ids == sorted(set(ids), reverse=True), f"the history of user {user} is out of order or repeats itself")
    expect([s["id"] for s in past if s["is_active"]] == listed, f"list and history of user {user} disagree")
    for session in past:
        expect(is_well_told(session), f"no proper receipt: {session}")
        reasons[session.get("end_reason", "live")] += 1
    live.update(listed)
    ended.update(set(ids) - set(listed))

created_ids, ended_ids = confirmed()
expect(created_ids and ended_ids, "the traffic created or ended nothing")
expect(not ended_ids & live, f"confirmed as ended, and listed as live: {ended_ids & live}")
expect(ended_ids <= live | ended, f"confirmed as ended, and gone: {ended_ids - live - ended}")
expect(created_ids <= live | ended, f"confirmed as created, and gone: {created_ids - live - ended}")

print(f"Checked {len(tokens) - 1} users with {len(live)} live and {len(ended)} ended sessions {dict(reasons)}:")
print(f"  at most {max_sessions} live each; every ended one has its receipt; lists agree with the history")
print(f"  all {len(created_ids)} confirmed sign-ins are there; none of {len(ended_ids)} confirmed endings is live")
for fault in faults[:20]:
    print("FAULT:", fault)
sys.exit(1 if faults else 0)
