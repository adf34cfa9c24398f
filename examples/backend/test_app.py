"""What the back end does when the session service cannot answer, and, on the local stack (SESSIONS_URL, ADMIN), that a
device which an admin signed out gets in nowhere, with neither token.

.ci/backend starts the stack and runs these."""

import os
from types import SimpleNamespace

import app
import httpx
import pytest
from fastapi.testclient import TestClient

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)


def respond(status, body, headers={}):
    return lambda request: httpx.Response(status, json=body, headers=headers)


def cut(request):
    raise httpx.ConnectError("cut")


def bearer(token):
    return {"Authorization": b"Bearer " + (token if isinstance(token, bytes) else token.encode())}


PROBLEM = {"Content-Type": "application/problem+json"}
OPENED = respond(201, {"id": "01a20aaf-d9a6-7509-9fad-dfaf285a368f"})
LIVE = respond(200, {"user_id": 74})
THROTTLED = respond(429, {"message": "Too Many Requests"})
GATEWAY_FORBIDS = respond(403, {"message": "Forbidden"})
GATEWAY_REFUSES = respond(401, {"message": "Unauthorized"})
DOWN = respond(503, {"detail": "down", "code": "store_unavailable"}, {**PROBLEM, "Retry-After": "2"})
DOWN_FOR_LONG = respond(503, {"message": "Service Unavailable"}, {"Retry-After": "60"})
FORBIDDEN = respond(403, {"detail": "no", "code": "service_only"}, PROBLEM)


@pytest.fixture(autouse=True)
def passwords(monkeypatch):
    monkeypatch.setattr(app, "passwords", {74: "correct horse"})


@pytest.fixture
def waits(monkeypatch):
    """The waits between attempts, in seconds. Nothing really waits."""
    waits = []

    async def no_wait(seconds):
        waits.append(seconds)

    monkeypatch.setattr(app, "asyncio", SimpleNamespace(sleep=no_wait))
    return waits


@pytest.fixture
def device(waits):
    """A client of the back end. Without its context the app does not connect to the session service."""
    return TestClient(app.app)


def service_responds(*responses):
    """The session service gives these responses, one after the other."""
    rest = iter(responses)
    transport = httpx.MockTransport(lambda request: next(rest)(request))
    app.app.state.sessions = httpx.AsyncClient(base_url="http://sessions", transport=transport)


def login(device, password="correct horse"):
    return device.post("/login", json={"user_id": 74, "password": password})


def status_of(response):
    return response.status_code, response.headers.get("Retry-After")


@pytest.mark.parametrize(
    ("responses", "waited", "expected"),
    [
        ([THROTTLED, cut, OPENED], [0, 1, 2], (200, None)),
        ([THROTTLED] * 3, [0, 1, 2], (503, "3")),
        ([GATEWAY_FORBIDS] * 3, [0, 1, 2], (503, "3")),
        ([cut] * 3, [0, 1, 2], (503, "3")),
        ([DOWN] * 3, [0, 2, 2], (503, "3")),
        ([DOWN_FOR_LONG], [0], (503, "60")),
        ([FORBIDDEN], [0], (502, None)),
    ],
)
def test_login_is_retried_while_the_service_cannot_answer(device, waits, responses, waited, expected):
    service_responds(*responses)
    assert status_of(login(device)) == expected
    assert waits == waited


@pytest.mark.parametrize(
    ("response", "expected"),
    [(THROTTLED, (503, "1")), (DOWN_FOR_LONG, (503, "60")), (GATEWAY_REFUSES, (401, None))],
)
def test_a_user_is_signed_out_only_when_the_token_is_refused(device, response, expected):
    service_responds(response)
    assert status_of(device.get("/orders", headers=bearer("any"))) == expected


@pytest.mark.parametrize("token", ["é".encode(), b"\xff", b"a.\x80.b"])
def test_a_token_that_is_not_ascii_is_refused(device, token):
    service_responds()
    assert device.get("/orders", headers=bearer(token)).status_code == 401


def ended_after_the_change(request):
    assert app.passwords[74] == "new", "The sessions must end after the password was changed"
    return httpx.Response(200, json={"revoked": 1})


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        ([ended_after_the_change], (200, None)),
        ([THROTTLED] * 3, (503, "3")),
        ([FORBIDDEN], (503, "1")),
    ],
)
def test_a_changed_password_stays_changed_when_the_sessions_may_live_on(device, responses, expected):
    service_responds(LIVE, *responses)
    changed = device.post("/password", json={"password": "new"}, headers=bearer("any"))
    assert status_of(changed) == expected
    assert expected[0] == 200 or changed.json()["detail"] == app.NOT_CONFIRMED
    assert login(device).status_code == 401


def test_a_login_with_a_password_that_changes_meanwhile_is_refused(device):
    def changes_the_password(request):
        app.passwords[74] = "new"
        return OPENED(request)

    service_responds(changes_the_password)
    assert login(device).status_code == 401


@pytest.fixture
def live_device():
    """A phone before the back end, which asks the local stack."""
    with TestClient(app.app, headers={"user-agent": PHONE}, client=("127.0.0.1", 1)) as device:
        yield device


@pytest.fixture
def panel():
    headers = bearer(os.environ["ADMIN"])
    with httpx.Client(base_url=app.SESSIONS_URL, headers=headers, timeout=30) as panel:
        yield panel


def ok(response):
    assert response.status_code == 200, response.text
    return response.json()


def statuses(device, tokens):
    """What a device gets with its access token, and with its refresh token."""
    orders = device.get("/orders", headers=bearer(tokens["access_token"]))
    refresh = device.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
    return orders.status_code, refresh.status_code


def test_a_device_that_an_admin_signed_out_gets_in_nowhere(live_device, panel):
    assert login(live_device, "wrong").status_code == 401
    tokens = ok(login(live_device))
    newest = ok(panel.get("/sessions/user/74"))[0]
    assert (newest["device_name"], newest["ip_address"]) == ("Safari on iPhone", "127.0.0.1")
    tokens = ok(live_device.post("/refresh", json={"refresh_token": tokens["refresh_token"]}))
    assert statuses(live_device, tokens) == (200, 200)
    # Nobody takes a refresh token for an access token.
    assert live_device.get("/orders", headers=bearer(tokens["refresh_token"])).status_code == 401

    ok(panel.delete(f"/sessions/user/74/session/{newest['id']}", params={"reason": "lost phone"}))
    assert statuses(live_device, tokens) == (401, 401)
    create = httpx.post(f"{app.SESSIONS_URL}/sessions/create", headers=bearer(tokens["access_token"]))
    assert (create.status_code, create.json()["code"]) == (401, "session_ended")


def test_a_new_password_signs_every_device_out(live_device):
    first, second = ok(login(live_device)), ok(login(live_device))
    new = {"password": "new password"}
    ok(live_device.post("/password", json=new, headers=bearer(second["access_token"])))
    assert statuses(live_device, first) == statuses(live_device, second) == (401, 401)
    assert login(live_device).status_code == 401
    assert statuses(live_device, ok(login(live_device, "new password"))) == (200, 200)
