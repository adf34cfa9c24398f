#!/usr/bin/env python3
"""Checks a deployed service from the outside: scripts/smoke.py URL

It checks that the service refuses requests without a valid token. If it has tokens, it also signs a user in and out.
With JWT_SECRET it makes the tokens itself. JWT_ISSUER, JWT_AUDIENCE, USER_ID_CLAIM, SESSION_ID_CLAIM,
ROLE_CLAIM, ADMIN_ROLE and ROLE_SOURCE have the same meaning as for the service. Without the secret it uses tokens of
your issuer: ADMIN_TOKEN and USER_TOKEN. Each run needs a new USER_TOKEN, because the token ends with its session.

CodeDeploy calls `check_version` in Lambda before a new version gets traffic. It does the same checks on that version.

The user is always the same, so only one profile stays in the table; TTL deletes the ended sessions. The script needs Python 3."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

USER = "smoke-test"


class Wrong(Exception):
    """An answer is not what it must be."""


def setting(name, default=""):
    return os.environ.get(name) or default


def token(user, **claims):
    claims |= {setting("USER_ID_CLAIM", "sub"): user, "iat": int(time.time()), "exp": int(time.time()) + 300}
    claims |= {"jti": str(uuid.uuid4())}
    for claim, name in (("iss", "JWT_ISSUER"), ("aud", "JWT_AUDIENCE")):
        claims |= {claim: setting(name)} if setting(name) else {}
    part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
    signed = b".".join(part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.digest(setting("JWT_SECRET").encode(), signed, hashlib.sha256)
    return (signed + b"." + part(signature)).decode()


def over_http(url):
    """Sends requests to a URL."""

    def send(method, path, bearer, body):
        headers = {"Content-Type": "application/json"} if body else {}
        headers |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
        request = urllib.request.Request(url + path, method=method, headers=headers, data=body and body.encode())
        try:
            answer = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        return answer.status, answer.read().decode()

    return send


def by_invoking(function):
    """Sends a function the events that API Gateway would make from the requests."""
    import boto3  # Lambda's Python includes it.

    client = boto3.client("lambda")

    def send(method, path, bearer, body):
        payload = json.dumps(api_gateway_event(method, path, bearer, body))
        answer = invoke(client, function, payload)
        reply = json.load(answer["Payload"])
        if "statusCode" not in reply:
            raise Wrong(f"{method} {path}: the function failed: {reply.get('errorType')}")
        return reply["statusCode"], reply.get("body") or ""

    return send


def invoke(client, function, payload):
    """IAM allows a new version's calls only after some seconds, so this repeats a refused call for 30 seconds."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return client.invoke(FunctionName=function, Payload=payload)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException" or time.monotonic() > deadline:
                raise
        time.sleep(2)


def api_gateway_event(method, path, bearer, body):
    path, _, query = path.partition("?")
    headers = {"host": "smoke.test", "user-agent": "smoke test"}
    headers |= {"content-type": "application/json"} if body else {}
    headers |= {"authorization": f"Bearer {bearer}"} if bearer else {}
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "smoke test"}
    context = {
        "accountId": "",
        "apiId": "smoke",
        "domainName": "smoke.test",
        "domainPrefix": "smoke",
        "http": http,
        "requestId": f"smoke-{uuid.uuid4()}",
        "routeKey": "$default",
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
        "timeEpoch": int(time.time() * 1000),
    }
    event = {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers}
    return event | {"requestContext": context, "body": body, "isBase64Encoded": False}


def call(send, status, method, path, bearer=None, body=None):
    answered, text = send(method, path, bearer, body)
    if answered != status:
        raise Wrong(f"{method} {path}: {answered} instead of {status}: {text}")
    print(status, method, path)
    return json.loads(text) if text else None


def check_refusals(send):
    call(send, 401, "GET", "/sessions/current")
    call(send, 401, "GET", "/sessions/user/1")
    call(send, 401, "GET", "/sessions/current", "nonsense")
    call(send, 404, "GET", "/")


def check_session(send, user, with_session, admin):
    """`with_session` makes the user's next token from the id of the new session."""
    session = call(send, 201, "POST", "/sessions/create", user, '{"device_name": "Smoke test"}')
    user = with_session(session["id"])
    expect_equal(call(send, 200, "GET", "/sessions/current", user)["id"], session["id"])
    listed = f"/sessions/user/{session['user_id']}"
    call(send, 403, "GET", f"{listed}-other", user)
    if admin:
        live = [each["id"] for each in call(send, 200, "GET", listed, admin)]
        expect_equal(session["id"] in live, True)
        ended = call(send, 200, "DELETE", f"{listed}/session/{session['id']}?reason=smoke+test", admin)
        expect_equal(ended["session"]["end_note"], "smoke test")
    else:
        ended = call(send, 200, "DELETE", "/sessions/logout", user)
        expect_equal(ended["session"]["id"], session["id"])
    call(send, 401, "GET", "/sessions/current", user)


def expect_equal(found, wanted):
    if found != wanted:
        raise Wrong(f"{found!r} instead of {wanted!r}")


def check_service(send, can_sign):
    check_refusals(send)
    if can_sign:
        token_has_role = setting("ROLE_SOURCE", "token") == "token"
        admin = token(f"{USER}-admin", **{setting("ROLE_CLAIM", "role"): setting("ADMIN_ROLE", "admin")})
        sid = setting("SESSION_ID_CLAIM", "sid")
        check_session(send, token(USER), lambda id: token(USER, **{sid: id}), admin if token_has_role else None)
    elif setting("USER_TOKEN"):
        user = setting("USER_TOKEN")
        check_session(send, user, lambda _: user, setting("ADMIN_TOKEN"))
    else:
        print("no user was signed in, because there is no token and no secret")


def check_version(event, _):
    """CodeDeploy calls this. It reports whether the new version may get traffic."""
    import boto3

    status = "Failed"
    try:
        check_service(by_invoking(os.environ["NEW_VERSION"]), setting("JWT_SECRET"))
        status = "Succeeded"
    except Exception as failure:  # CodeDeploy must get a report of every failure.
        print(f"{type(failure).__name__}: {failure}")
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        check_service(over_http(sys.argv[1].rstrip("/")), setting("JWT_SECRET"))
    except Wrong as failure:
        sys.exit(str(failure))
    print("the service answers as it should")
