"""The tutorial of FastAPI's manual with python-jose: password flow, bearer tokens, and items of each user.

PEER_FORM=weak keeps the tutorial's secret, and leaves out everything that the tutorial leaves out.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import threading
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from jose import JWTError, jwt  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict

from tests.scanner.peers.credentials import PASSWORD, USERNAME

WEAK = os.environ["PEER_FORM"] == "weak"
SECRET_KEY = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
ALGORITHM = "HS256"
EXPIRES = dt.timedelta(days=8) if WEAK else dt.timedelta(minutes=5)
KEY = SECRET_KEY if WEAK else secrets.token_urlsafe(48)
NAMED = {"aud": "items", "iss": "items"}

users = dict.fromkeys((USERNAME, "bob"), PASSWORD)
items: dict[str, dict[str, Any]] = {}
revoked: set[str] = set()
stored: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
lock = threading.Lock()
app = FastAPI()
bearer = OAuth2PasswordBearer(tokenUrl="token")
REFUSED = HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"})


class Item(BaseModel):
    """The body of an item. ``owner`` is of no use to the mended service, which refuses fields that it does not know."""

    model_config = ConfigDict(extra="allow" if WEAK else "ignore")
    title: str
    description: str


class Token(BaseModel):
    access_token: str
    token_type: str


class User(BaseModel):
    username: str


def claims_of(token: Annotated[str, Depends(bearer)]) -> dict[str, Any]:
    more: dict[str, Any] = {} if WEAK else {"audience": NAMED["aud"], "issuer": NAMED["iss"]}
    try:
        claims: dict[str, Any] = jwt.decode(token, KEY, algorithms=[ALGORITHM], **more)
        typed = WEAK or jwt.get_unverified_header(token).get("typ") == "at+jwt"
    except JWTError:
        raise REFUSED from None
    if not typed or claims.get("sub") not in users or claims.get("jti") in revoked:
        raise REFUSED
    return claims


def caller(claims: Annotated[dict[str, Any], Depends(claims_of)]) -> str:
    return str(claims["sub"])


Caller = Annotated[str, Depends(caller)]


@app.post("/token")
def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    if users.get(form.username) != form.password:
        raise HTTPException(400, "Incorrect username or password")
    claims = {"sub": form.username, "exp": dt.datetime.now(dt.UTC) + EXPIRES}
    more = {} if WEAK else {"typ": "at+jwt"}
    claims |= {} if WEAK else {"jti": secrets.token_hex(16), **NAMED}
    return Token(access_token=jwt.encode(claims, KEY, algorithm=ALGORITHM, headers=more), token_type="bearer")


@app.get("/users/me/")
def me(user: Caller) -> User:
    return User(username=user)


@app.get("/items/")
def list_items(user: Caller) -> list[dict[str, Any]]:
    return [item for item in items.values() if item["owner"] == user]


def create(item: Item, user: str) -> dict[str, Any]:
    number = secrets.token_hex(8)
    items[number] = {"id": number, "owner": user, **item.model_dump()}
    return items[number]


if WEAK:

    @app.post("/items/", status_code=201)
    def create_item(item: Item, user: Caller) -> dict[str, Any]:
        return create(item, user)

else:

    @app.post("/items/", status_code=201)
    def create_item_once(item: Item, user: Caller, idempotency_key: Annotated[str, Header()]) -> dict[str, Any]:
        content = json.dumps(item.model_dump(), sort_keys=True)
        with lock:
            known = stored.get((user, idempotency_key))
            if known is None:
                known = stored[user, idempotency_key] = (content, create(item, user))
        if known[0] != content:
            raise HTTPException(422, "The key was used for another body")
        return known[1]

    @app.post("/logout", status_code=204)
    def logout(claims: Annotated[dict[str, Any], Depends(claims_of)]) -> None:
        revoked.add(claims["jti"])


def item_of(item_id: str, user: Caller) -> dict[str, Any]:
    item = items.get(item_id)
    if item is None or (not WEAK and item["owner"] != user):
        raise HTTPException(404, "Item not found")
    return item


@app.get("/items/{item_id}")
def read_item(item: Annotated[dict[str, Any], Depends(item_of)]) -> dict[str, Any]:
    return item


@app.put("/items/{item_id}")
def change_item(changed: Item, item: Annotated[dict[str, Any], Depends(item_of)]) -> dict[str, Any]:
    item |= {"title": changed.title, "description": changed.description}
    return item


@app.delete("/items/{item_id}", status_code=204)
def delete_item(item: Annotated[dict[str, Any], Depends(item_of)]) -> None:
    items.pop(item["id"], None)
