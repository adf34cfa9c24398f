"""A back end that issues tokens and works with the session service at three moments: sign-in, refresh, new password.

    pip install -r requirements.txt
    uvicorn app:app

Its settings have the values of the local stack: SESSIONS_URL, JWT_SECRET, SERVICE_ROLE.
"""

import asyncio
import os
import secrets
import time
import uuid
from contextlib import asynccontextmanager
from typing import Annotated, NoReturn

import httpx
import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

SESSIONS_URL = os.environ.get("SESSIONS_URL", "http://127.0.0.1:9000")
JWT_SECRET = os.environ.get("JWT_SECRET", "local-development-secret-do-not-deploy-0000")
SERVICE_ROLE = os.environ.get("SERVICE_ROLE", "service")
# Refresh tokens have a key of their own: no other service may take one for an access token. A real back end keeps the
# key, so that its users stay signed in when it starts again.
REFRESH_SECRET = secrets.token_hex(32)

ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 30 * 24 * 3600
ATTEMPTS = 3
# The longest wait between two attempts, in seconds. The client gets a longer Retry-After, with 503.
WAIT_MAX = 5

UNREACHABLE = "The sessions cannot be reached right now; try again"
NOT_CONFIRMED = "The password has been changed, but it is not confirmed that the sessions have ended; try again"

# A real back end has a table of users, with hashes of their passwords.
passwords = {74: "correct horse", 75: "battery staple"}


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with httpx.AsyncClient(base_url=SESSIONS_URL, timeout=10) as client:
        app.state.sessions = client
        yield


app = FastAPI(lifespan=lifespan)


class Login(BaseModel):
    user_id: int
    password: str
    device_fingerprint: str | None = None


class Refresh(BaseModel):
    refresh_token: str


class NewPassword(BaseModel):
    password: str


class Tokens(BaseModel):
    access_token: str
    refresh_token: str


def sign(claims: dict, seconds: int, secret: str) -> str:
    now = int(time.time())
    return jwt.encode({"iat": now, "exp": now + seconds, **claims}, secret, algorithm="HS256")


def tokens_for(user_id: int, session_id: str) -> Tokens:
    """The session's id goes into both tokens, so that the next ones carry it too."""
    claims = {"sub": str(user_id), "sid": session_id}
    return Tokens(
        access_token=sign(claims, ACCESS_SECONDS, JWT_SECRET),
        refresh_token=sign(claims, REFRESH_SECONDS, REFRESH_SECRET),
    )


async def ask_sessions(
    method: str, path: str, headers: dict | None = None, unavailable_detail: str = UNREACHABLE, **request
) -> httpx.Response:
    """Asks the session service with this back end's own token, and again while it cannot answer."""
    token = sign({"sub": "backend", "role": SERVICE_ROLE}, 60, JWT_SECRET)
    headers = {"Authorization": f"Bearer {token}", **(headers or {})}
    wait = 0
    for attempt in range(1, ATTEMPTS + 1):
        await asyncio.sleep(wait)
        try:
            answer = await app.state.sessions.request(method, path, headers=headers, **request)
        except httpx.TransportError:
            wait = attempt
            continue
        if is_final(answer):
            return answer
        wait = max(attempt, retry_after(answer))
        if wait > WAIT_MAX:
            break
    unavailable(wait, unavailable_detail)


def is_final(answer: httpx.Response) -> bool:
    """Whether the service itself decided. API Gateway's own refusals (429 and others) are not problem documents."""
    refused = answer.headers.get("Content-Type", "").startswith("application/problem+json")
    return answer.is_success or (refused and answer.status_code < 500)


def retry_after(answer: httpx.Response) -> int:
    """How many seconds to wait. API Gateway's 429 does not say it."""
    seconds = answer.headers.get("Retry-After", "")
    return int(seconds) if seconds.isdecimal() else 1


def unavailable(wait: int = 1, detail: str = UNREACHABLE) -> NoReturn:
    # Not 401: the front end would sign its user out.
    raise HTTPException(503, detail, headers={"Retry-After": str(wait)})


async def current_user(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> int:
    """The user of a live session. The session service says whether it is one, with the user's own token."""
    if not bearer.credentials.isascii():
        # No JWT has such a byte, and httpx does not send one.
        raise HTTPException(401, "The token is not valid")
    try:
        answer = await app.state.sessions.get(
            "/sessions/current", headers={"Authorization": f"Bearer {bearer.credentials}"}
        )
    except httpx.TransportError:
        unavailable()
    if answer.status_code == 401:
        # API Gateway's own 401 has no detail. It too means that the token is not valid.
        raise HTTPException(401, answer.json().get("detail", "The token is not valid"))
    if answer.status_code != 200:
        unavailable(retry_after(answer))
    return answer.json()["user_id"]


def check_password(login: Login) -> None:
    password = passwords.get(login.user_id, "")
    if not secrets.compare_digest(password.encode(), login.password.encode()) or not password:
        raise HTTPException(401, "Wrong user or password")


@app.post("/login")
async def login(body: Login, request: Request) -> Tokens:
    check_password(body)
    answer = await ask_sessions(
        "POST",
        f"/sessions/user/{body.user_id}",
        # The same for each attempt, so that a lost answer opens no second session.
        headers={"Idempotency-Key": str(uuid.uuid4())},
        json={
            "headers": dict(request.headers),
            # Behind a proxy, start uvicorn with --proxy-headers.
            "ip_address": request.client.host if request.client else None,
            "device_fingerprint": body.device_fingerprint,
        },
    )
    if answer.status_code not in (200, 201):
        raise HTTPException(502, "The session service refused the sign-in")
    # The password may have been changed meanwhile, and the sessions ended before this one was opened.
    check_password(body)
    return tokens_for(body.user_id, answer.json()["id"])


@app.post("/refresh")
async def refresh(body: Refresh, request: Request) -> Tokens:
    try:
        claims = jwt.decode(body.refresh_token, REFRESH_SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "The refresh token is not valid") from error
    user_id, session_id = int(claims["sub"]), claims["sid"]
    answer = await ask_sessions(
        "POST",
        f"/sessions/user/{user_id}/session/{session_id}/activity",
        json={"ip_address": request.client.host if request.client else None},
    )
    if answer.status_code in (404, 409):
        raise HTTPException(401, "The session has ended")
    if answer.status_code != 200:
        raise HTTPException(502, "The session service refused the refresh")
    return tokens_for(user_id, session_id)


@app.post("/password")
async def change_password(body: NewPassword, user_id: Annotated[int, Depends(current_user)]) -> dict:
    # First the new password: nobody signs in with the old one after the sessions have ended.
    passwords[user_id] = body.password
    # A real back end stores that the end is due, and repeats it until 200, even when nobody sends this request again.
    answer = await ask_sessions(
        "DELETE",
        f"/sessions/user/{user_id}",
        params={"reason": "password changed"},
        unavailable_detail=NOT_CONFIRMED,
    )
    if answer.status_code != 200:
        unavailable(detail=NOT_CONFIRMED)
    return {"ended": answer.json()["revoked"]}


@app.get("/orders")
async def orders(user_id: Annotated[int, Depends(current_user)]) -> dict:
    """Something that only users with a live session may see."""
    return {"user_id": user_id, "orders": []}
