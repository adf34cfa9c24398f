#!/usr/bin/env python3
"""Checks a deployed service from the outside: scripts/smoke.py URL

It checks that the service refuses requests without a valid token. If it has tokens, it also signs a user in and out.
With JWT_SECRET it makes the tokens itself. JWT_ISSUER, JWT_AUDIENCE, USER_ID_CLAIM, SESSION_ID_CLAIM,
PROVIDER_SESSION_CLAIM, ROLE_CLAIM, ADMIN_ROLE and ROLE_SOURCE have the same meaning as for the service. Without the secret it uses tokens of your issuer:
ADMIN_TOKEN and USER_TOKEN. Each run needs a new USER_TOKEN, because the token ends with its session. With CHECK_CLIENT
(JSON with token_url, client_id, client_secret, scope, audience) it asks the issuer for a token of SERVICE_ROLE.

In Lambda, CodeDeploy calls `check_version` before a new version gets traffic, and a schedule calls `check_on_schedule`.

The user is always the same, so only one profile stays in the table; TTL deletes the ended sessions. The script needs
Python 3."""

import base64
import email.utils
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

# What the service answers to a token that it cannot accept, or whose role is not the one it looks for.
REFUSED = {"token_malformed", "token_invalid", "token_not_yet_valid", "token_names_no_user", "admin_only", "service_only"}
# An issuer's clock may differ by as many seconds before it does harm.
CLOCK_LEEWAY = 60


class Wrong(Exception):
    """An answer is not what it must be."""


def setting(name, default=""):
    return os.environ.get(name) or default


def token(user, secret=None, **claims):
    claims |= {setting("USER_ID_CLAIM", "sub"): user, "iat": int(time.time()), "exp": int(time.time()) + 300}
    claims |= {"jti": str(uuid.uuid4())}
    for claim, name in (("iss", "JWT_ISSUER"), ("aud", "JWT_AUDIENCE")):
        # The audience may be a list with commas.
        claims |= {claim: setting(name).split(",")[0]} if setting(name) else {}
    # With the setting, each user's token must name a session of the identity provider.
    claims |= {setting("PROVIDER_SESSION_CLAIM"): str(uuid.uuid4())} if setting("PROVIDER_SESSION_CLAIM") else {}
    part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
    signed = b".".join(part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.digest((secret or setting("JWT_SECRET")).encode(), signed, hashlib.sha256)
    return (signed + b"." + part(signature)).decode()


def admin_token(user, secret=None):
    """An admin's token; None when the service reads roles from its table."""
    if setting("ROLE_SOURCE", "token") == "table":
        return None
    return token(f"{user}-admin", secret, **{setting("ROLE_CLAIM", "role"): setting("ADMIN_ROLE", "admin")})


def service_token():
    """A token that the issuer itself makes for a back end (RFC 6749 section 4.4)."""
    client = json.loads(setting("CHECK_CLIENT"))
    form = {"grant_type": "client_credentials"} | {name: client[name] for name in ("scope", "audience") if name in client}
    request = urllib.request.Request(client["token_url"], data=urllib.parse.urlencode(form).encode())
    basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    request.add_header("Authorization", f"Basic {basic}")
    return json.load(urllib.request.urlopen(request, timeout=10))["access_token"]


def over_http(url, seconds=30):
    """Sends requests to a URL."""

    def send(method, path, bearer, body):
        headers = {"Content-Type": "application/json"} if body else {}
        headers |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
        request = urllib.request.Request(url + path, method=method, headers=headers, data=body and body.encode())
        try:
            answer = urllib.request.urlopen(request, timeout=seconds)
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
    # It names no API, as API Gateway always does. So the service knows that it did not come around the edge.
    context = {
        "accountId": "",
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
    """Signs a user in, ends the session and looks again. `with_session` makes the user's next token from the id of the
    new session."""
    session = call(send, 201, "POST", "/sessions/create", user, '{"device_name": "Smoke test"}')
    user = with_session(session["id"])
    expect_equal(call(send, 200, "GET", "/sessions/current", user)["id"], session["id"])
    listed = f"/sessions/user/{session['user_id']}"
    if admin:
        live = lambda: [each["id"] for each in call(send, 200, "GET", listed, admin)]
        expect_equal(session["id"] in live(), True)
        ended = call(send, 200, "DELETE", f"{listed}/session/{session['id']}?reason=smoke+test", admin)
        expect_equal(ended["session"]["end_note"], "smoke test")
        expect_equal(session["id"] in live(), False)
    else:
        ended = call(send, 200, "DELETE", "/sessions/logout", user)
        expect_equal(ended["session"]["id"], session["id"])
    call(send, 401, "GET", "/sessions/current", user)


def check_session_as_service(send, user, service):
    """The same with a back end's token, which needs no user's."""
    session = call(send, 201, "POST", f"/sessions/user/{user}", service, '{"device_name": "Smoke test"}')
    path = f"/sessions/user/{user}/session/{session['id']}"
    active = lambda: call(send, 200, "GET", f"/sessions/summary?user_id={user}", service)[0]["active"]
    expect_equal(active() > 0, True)
    call(send, 200, "DELETE", f"{path}?reason=smoke+test", service)
    expect_equal(call(send, 200, "GET", path, service)["is_active"], False)


def expect_equal(found, wanted):
    if found != wanted:
        raise Wrong(f"{found!r} instead of {wanted!r}")


def sign_in_and_out(send, user):
    """Signs the user in and out with the tokens that can be had, if any."""
    if setting("JWT_SECRET"):
        sid = setting("SESSION_ID_CLAIM", "sid")
        check_session(send, token(user), lambda id: token(user, **{sid: id}), admin_token(user))
    elif setting("CHECK_CLIENT"):
        check_session_as_service(send, user, service_token())
    elif setting("USER_TOKEN"):
        given = setting("USER_TOKEN")
        check_session(send, given, lambda _: given, setting("ADMIN_TOKEN"))
    else:
        print("no user was signed in, because there is no token and no secret")


def check_service(send):
    check_refusals(send)
    sign_in_and_out(send, "smoke-test")
    if setting("JWT_SECRET"):
        call(send, 403, "GET", "/sessions/user/1", token("smoke-test"))


def check_live(send):
    """The version that answers now must accept the tokens that the new one accepts: those of the new secret, or of the
    previous one during a rotation. Otherwise users' tokens and the new version do not fit."""
    if setting("JWT_SECRET"):
        secrets = [setting(name) for name in ("JWT_SECRET", "JWT_SECRET_PREVIOUS") if setting(name)]
        known = [each for each in secrets if not refusal(send, "/sessions/current", token("smoke-test", each))]
        if not known:
            raise Wrong("the version that answers now accepts no token of these secrets")
        admin = admin_token("smoke-test", known[0])
        refused = admin and refusal(send, "/sessions/user/smoke-test", admin)
    else:
        refused = setting("CHECK_CLIENT") and refusal(send, "/sessions/summary?user_id=smoke-test", service_token())
    if refused:
        raise Wrong(f"the version that answers now refuses the role: {refused}")


def refusal(send, path, bearer):
    """The code with which the service refuses the token itself or its role; None when it accepts them."""
    _, text = send("GET", path, bearer, None)
    body = json.loads(text)
    code = body.get("code") if isinstance(body, dict) else None
    return code if code in REFUSED else None


def check_version(event, _):
    """CodeDeploy calls this. It reports whether the new version may get traffic."""
    import boto3

    status = "Failed"
    try:
        check_service(by_invoking(os.environ["NEW_VERSION"]))
        check_live(by_invoking(os.environ["LIVE_VERSION"]))
        status = "Succeeded"
    except Exception as failure:  # CodeDeploy must get a report of every failure.
        print(f"{type(failure).__name__}: {failure}")
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )


def check_on_schedule(_event, _context):
    """A schedule calls this every second minute. It reports two metrics: whether a user could sign in and out, and how many
    settings are wrong. It makes no request that the service refuses, because refusals ring an alarm."""
    failure = None
    try:
        sign_in_and_out(over_http(os.environ["URL"], seconds=8), "scheduled-check")
    except Exception as error:  # A name that does not resolve and a bad certificate count too.
        failure = f"{type(error).__name__}: {error}"
    wrong = wrong_settings()
    metrics = [{"Name": name, "Unit": "Count"} for name in ("CheckFailed", "WrongSettings")]
    directive = {"Namespace": "Sessions", "Dimensions": [["Stack"]], "Metrics": metrics}
    counts = {"CheckFailed": int(failure is not None), "WrongSettings": len(wrong), "Stack": os.environ["STACK"]}
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": aws, **counts, "failure": failure, "wrong": wrong}))


def wrong_settings():
    import boto3

    database = boto3.client("dynamodb")
    checks = (lambda: table_faults(database), lambda: time_to_live_faults(database), lambda: backup_faults(database))
    found = []
    for check in (*checks, issuer_faults):
        try:
            found += check()
        except Exception as error:  # One check that fails must not hide what the others find.
            found.append(f"unknown: {type(error).__name__}: {error}")
    return found


def table_faults(database):
    table = database.describe_table(TableName=os.environ["TABLE_NAME"])["Table"]
    if "InaccessibleEncryptionDateTime" in table.get("SSEDescription", {}):
        yield "table key: DynamoDB cannot use the KMS key"
    if not table.get("DeletionProtectionEnabled"):
        yield "deletion protection: it is off"
    # A restored table says so for ever, and begins without tags. docs/operate.md says when to set the tag.
    if "RestoreSummary" in table:
        tags = database.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
        if not any(tag["Key"] == "endings-repeated" for tag in tags):
            yield "restored table: the sessions that ended since the backup have not been ended again"


def time_to_live_faults(database):
    found = database.describe_time_to_live(TableName=os.environ["TABLE_NAME"])["TimeToLiveDescription"]
    if (found["TimeToLiveStatus"], found.get("AttributeName")) not in (("ENABLED", "ttl"), ("ENABLING", "ttl")):
        yield "TTL: it is off"


def backup_faults(database):
    found = database.describe_continuous_backups(TableName=os.environ["TABLE_NAME"])["ContinuousBackupsDescription"]
    if found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        yield "PITR: it is off"


def issuer_faults():
    """What an issuer that publishes its settings says about its clock and its keys (OpenID Connect Discovery 1.0)."""
    if not setting("JWT_ISSUER").startswith("https://"):
        return
    published = setting("JWT_ISSUER").rstrip("/") + "/.well-known/openid-configuration"
    try:
        answer = urllib.request.urlopen(published, timeout=5)
    except urllib.error.HTTPError as error:
        if error.code == 404:  # This issuer publishes nothing.
            return
        raise
    clock = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
    if abs(clock - time.time()) > CLOCK_LEEWAY:
        yield f"issuer clock: it is {round(clock - time.time())} seconds ahead"
    if setting("JWKS"):
        keys = json.load(urllib.request.urlopen(json.load(answer)["jwks_uri"], timeout=5))["keys"]
        known = {key.get("kid") for key in json.loads(setting("JWKS"))["keys"]}
        unknown = [key.get("kid") for key in keys if key.get("use") != "enc" and key.get("kid") not in known]
        if unknown:
            yield f"issuer keys: the service does not know {', '.join(map(str, unknown))}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        check_service(over_http(sys.argv[1].rstrip("/")))
    except Wrong as failure:
        sys.exit(str(failure))
    print("the service answers as it should")
