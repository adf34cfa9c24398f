"""The admin's list of live sessions as a user of FastAPI would put it on Lambda: Mangum before it, boto3 behind it.

Written to be a fair opponent: one client for all calls, no documentation routes, no resource layer of boto3, and a
handler on the event loop, because a thread for it would only cost time where one request comes after the other."""

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import boto3
import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from mangum import Mangum
from pydantic import BaseModel

TABLE_NAME = os.environ["TABLE_NAME"]
JWT_SECRET = os.environ["JWT_SECRET"]
EPOCH = datetime.fromtimestamp(0, UTC)

dynamodb = boto3.client("dynamodb")
app = FastAPI(openapi_url=None)
handler = Mangum(app, lifespan="off")


class Session(BaseModel):
    id: str
    user_id: int
    device_name: str
    device_type: str
    browser: str
    os: str
    ip_address: str
    signed_in_ip: str
    created_at: str
    last_activity: str
    expires_at: str
    is_active: bool = True


async def admit_admin(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
    try:
        claims = jwt.decode(bearer.credentials, JWT_SECRET, ["HS256"], {"require": ["exp", "sub"]})
    except jwt.InvalidTokenError:
        raise HTTPException(401, "The token is not valid", {"WWW-Authenticate": "Bearer"}) from None
    if claims.get("role") != "admin":
        raise HTTPException(403, "Only admins can view other users' sessions")


@app.get("/sessions/user/{user_id}", dependencies=[Depends(admit_admin)])
async def list_sessions(user_id: int) -> list[Session]:
    answer = dynamodb.query(
        TableName=TABLE_NAME,
        IndexName="live",
        ConsistentRead=True,
        KeyConditionExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": str(user_id)}},
        ScanIndexForward=False,
    )
    now = datetime.now(UTC)
    return [session(item) for item in answer["Items"] if is_live(item, now)]


def is_live(item: dict[str, Any], now: datetime) -> bool:
    return item["sk"]["S"] != "profile" and now < time(item["expires_at"])


def session(item: dict[str, Any]) -> Session:
    return Session(
        id=item["sk"]["S"].removeprefix("session#"),
        user_id=int(item["user_id"]["S"]),
        device_name=item["device_name"]["S"],
        device_type=item["device_type"]["S"],
        browser=item["browser"]["S"],
        os=item["os"]["S"],
        ip_address=item["ip_address"]["S"],
        signed_in_ip=item["signed_in_ip"]["S"],
        created_at=rfc3339(item["created_at"]),
        last_activity=rfc3339(item["last_activity"]),
        expires_at=rfc3339(item["expires_at"]),
    )


def time(value: dict[str, str]) -> datetime:
    """The table keeps times as milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=int(value["N"]))


def rfc3339(value: dict[str, str]) -> str:
    return time(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")
