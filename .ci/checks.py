"""scripts/smoke.py as Lambda runs it: what the scheduled check finds on an emulated table and an issuer, and what the
version check says of a version whose secret or role is wrong."""

import datetime
import email.utils
import http.server
import importlib.machinery
import io
import json
import os
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager, redirect_stdout
from types import SimpleNamespace

import cloudformation  # sets the emulator's credentials
import boto3
from moto import mock_aws

sys.path.insert(0, "scripts")
sys.dont_write_bytecode = True
import smoke

TABLE = "sessions-dev-SessionTable-A1"
DATABASE = boto3.client("dynamodb")
KEY = {"AttributeName": "user_id", "KeyType": "HASH"}


def make_table(name: str) -> None:
    definition = {"AttributeName": "user_id", "AttributeType": "S"}
    DATABASE.create_table(TableName=name, KeySchema=[KEY], AttributeDefinitions=[definition], BillingMode="PAY_PER_REQUEST")
    protect(name)


def protect(name: str) -> None:
    """What docs/operate.md does with a new table."""
    DATABASE.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    recovery = {"PointInTimeRecoveryEnabled": True}
    DATABASE.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    DATABASE.update_table(TableName=name, DeletionProtectionEnabled=True)


@contextmanager
def settings(**values):
    before = dict(os.environ)
    os.environ.update(values)
    yield
    os.environ.clear()
    os.environ.update(before)


def found(**values) -> list:
    """The names of the settings that the scheduled check finds wrong."""
    with settings(**({"TABLE_NAME": TABLE} | values)):
        return [each.split(":")[0] for each in smoke.wrong_settings()]


def check_table_settings() -> None:
    make_table(TABLE)
    assert found() == []
    DATABASE.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"})
    assert found() == ["TTL"]
    off = {"PointInTimeRecoveryEnabled": False}
    DATABASE.update_continuous_backups(TableName=TABLE, PointInTimeRecoverySpecification=off)
    DATABASE.update_table(TableName=TABLE, DeletionProtectionEnabled=False)
    assert found() == ["deletion protection", "TTL", "PITR"]
    protect(TABLE)
    assert found(TABLE_NAME="sessions-dev-none") == ["unknown"] * 3
    print("the scheduled check finds TTL, backups and the deletion protection that are off, and a table that is gone")


def check_restored_table() -> None:
    restored = "sessions-dev-restored"
    DATABASE.restore_table_to_point_in_time(SourceTableName=TABLE, TargetTableName=restored, UseLatestRestorableTime=True)
    assert found(TABLE_NAME=restored) == ["deletion protection", "restored table", "TTL", "PITR"]
    protect(restored)
    assert found(TABLE_NAME=restored) == ["restored table"]
    arn = DATABASE.describe_table(TableName=restored)["Table"]["TableArn"]
    DATABASE.tag_resource(ResourceArn=arn, Tags=[{"Key": "endings-repeated", "Value": "2026-11-24"}])
    assert found(TABLE_NAME=restored) == []
    print("it finds a restored table until the endings have been repeated")


def check_table_key() -> None:
    """The emulator does not report that a key is disabled."""

    class Disabled:
        def describe_table(self, **of):
            answer = DATABASE.describe_table(**of)
            answer["Table"]["SSEDescription"] = {"InaccessibleEncryptionDateTime": datetime.datetime.now()}
            return answer

    with settings(TABLE_NAME=TABLE):
        assert [each.split(":")[0] for each in smoke.table_faults(Disabled())] == ["table key"]
    print("it finds a key that DynamoDB cannot use")


def check_issuer() -> None:
    """An issuer on this machine, with a clock and with keys that can be wrong."""
    ahead, keys = 0, [{"kid": "1"}]

    class Issuer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            bodies = {"/.well-known/openid-configuration": {"jwks_uri": f"{address}/keys"}, "/keys": {"keys": keys}}
            body = json.dumps(bodies.get(self.path, {})).encode()
            self.send_response_only(200 if self.path in bodies else 404)
            self.send_header("Date", email.utils.formatdate(time.time() + ahead, usegmt=True))
            self.end_headers()
            self.wfile.write(body)

        log_message = lambda *_: None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    real = urllib.request.urlopen
    # The check asks https issuers only.
    urllib.request.urlopen = lambda url, **rest: real(url.replace("https://issuer.example.com", address), **rest)
    issuer = {"JWT_ISSUER": "https://issuer.example.com", "JWKS": '{"keys":[{"kid":"1"}]}'}
    assert found(**issuer) == []
    ahead = 90
    assert found(**issuer) == ["issuer clock"]
    ahead, keys = -90, [{"kid": "2"}]
    assert found(**issuer) == ["issuer clock", "issuer keys"]
    ahead, keys = 0, [{"kid": "1"}, {"kid": "3", "use": "enc"}]
    assert found(**issuer) == []
    assert found(JWT_ISSUER="https://issuer.example.com/none", JWKS=issuer["JWKS"]) == []
    server.shutdown()
    assert found(JWT_ISSUER="panel") == []
    urllib.request.urlopen = real
    print("it finds an issuer whose clock is off by more than a minute, and keys that the service does not know")


def check_report() -> None:
    """The scheduled check's line is one of CloudWatch's embedded metric format, whatever fails."""
    out = io.StringIO()
    with settings(URL="http://127.0.0.1:9", STACK="sessions-dev", TABLE_NAME=TABLE, JWT_SECRET="x" * 32), redirect_stdout(out):
        smoke.check_on_schedule({}, None)
    line = json.loads(out.getvalue().splitlines()[-1])
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Sessions" and directive["Dimensions"] == [["Stack"]], directive
    assert {metric["Name"] for metric in directive["Metrics"]} == {"CheckFailed", "WrongSettings"}, directive
    assert (line["CheckFailed"], line["WrongSettings"], line["Stack"]) == (1, 0, "sessions-dev"), line
    assert "URLError" in line["failure"], line
    print("a service that cannot be reached is reported")


def check_live_version() -> None:
    """A version that answers now, with its own secret and role: what it says to the new version's tokens."""
    old, new = "o" * 32, "n" * 32

    def live(secret, role):
        def send(method, path, bearer, body):
            with settings(JWT_SECRET=secret):
                signed, signature = bearer.rsplit(".", 1)
                claims = json.loads(smoke.base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
                good = smoke.hmac.digest(secret.encode(), signed.encode(), smoke.hashlib.sha256)
            if smoke.base64.urlsafe_b64encode(good).rstrip(b"=").decode() != signature:
                return 401, '{"code": "token_invalid"}'
            if path == "/sessions/current":
                return 401, '{"code": "no_current_session"}'
            return (200, "[]") if claims.get("role") == role else (403, '{"code": "admin_only"}')

        return send

    def refused(secret, role, **new_settings) -> bool:
        try:
            with settings(**new_settings):
                smoke.check_live(live(secret, role))
        except smoke.Wrong:
            return True
        return False

    assert not refused(old, "admin", JWT_SECRET=old)
    assert refused(old, "admin", JWT_SECRET=new), "a wrong secret"
    assert not refused(old, "admin", JWT_SECRET=new, JWT_SECRET_PREVIOUS=old), "a rotation"
    assert refused(old, "admin", JWT_SECRET=old, ADMIN_ROLE="boss"), "a wrong role"
    assert not refused(old, "admin", JWT_SECRET=old, ADMIN_ROLE="boss", ROLE_SOURCE="table")
    print("the version check refuses a secret and a role that the version before does not accept")


def check_client_credentials() -> None:
    """The request for a token is one of RFC 6749 section 4.4."""
    sent = {}

    def answer(request, timeout):
        sent.update(url=request.full_url, basic=request.get_header("Authorization"))
        sent.update(form=urllib.parse.parse_qs(request.data.decode()))
        return io.BytesIO(b'{"access_token": "t"}')

    real, urllib.request.urlopen = urllib.request.urlopen, answer
    client = {"token_url": "https://issuer.example.com/token", "client_id": "a", "client_secret": "b", "scope": "s"}
    with settings(CHECK_CLIENT=json.dumps(client)):
        assert smoke.service_token() == "t"
    urllib.request.urlopen = real
    assert sent == {
        "url": client["token_url"],
        "basic": "Basic YTpi",
        "form": {"grant_type": ["client_credentials"], "scope": ["s"]},
    }, sent
    print("in jwks mode the issuer gives the check its token")


def check_end_sessions() -> None:
    """scripts/end-sessions sends a hundred users a request, and those again that a 503 leaves over."""
    answers = [(503, {"remaining": [7, "x"]}), (429, {"message": "Too Many Requests"}), (200, {}), (200, {})]
    asked = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body["reason"], body["user_ids"]))
            status, document = answers[len(asked) - 1]
            self.send_response_only(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        log_message = lambda *_: None

    script = importlib.machinery.SourceFileLoader("end_sessions", "scripts/end-sessions").load_module()
    script.time = SimpleNamespace(sleep=lambda seconds: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    users = [str(number) for number in range(101)]
    with settings(ADMIN="t"), tempfile.NamedTemporaryFile("w") as file, redirect_stdout(io.StringIO()):
        file.write("\n".join([*users, users[0]]))
        file.flush()
        script.main(f"http://127.0.0.1:{server.server_port}", file.name, "why")
    server.shutdown()
    assert [each[3] for each in asked] == [users[:100], ["7", "x"], ["7", "x"], users[100:]], asked
    assert {each[:3] for each in asked} == {("/sessions/end", "Bearer t", "why")}, asked
    print("the script that ends many users' sessions repeats what is left, and nothing else")


with mock_aws():
    check_table_settings()
    check_restored_table()
    check_table_key()
    check_issuer()
    check_report()
    check_live_version()
    check_client_credentials()
    check_end_sessions()
