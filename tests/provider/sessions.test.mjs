// The service with tokens of a real provider: an ending holds through refreshes and new sign-ins by cookie, until the
// person has authenticated again; signing out at the provider ends the session; keys rotate.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Browser } from "./browser.mjs";
import { nextSecond } from "./clock.mjs";
import { PANEL, PROFILE, startProvider } from "./provider.mjs";

const API = process.env.API_URL;

let provider;
let admin;
before(async () => {
  provider = await startProvider({ port: process.env.PROVIDER_PORT, logoutUrl: `${API}/sessions/backchannel-logout` });
  admin = await new Browser(provider.issuer).signIn(PANEL, "1");
});
after(() => provider.stop());

/** Calls the service. Waits and repeats as often as it says when to, as it does while it fetches keys. */
async function call(method, path, { access_token }, patience = 3) {
  const response = await fetch(`${API}${path}`, { method, headers: { authorization: `Bearer ${access_token}` } });
  const wait = response.headers.get("retry-after");
  if (wait && patience > 0) {
    await setTimeout(wait * 1000);
    return call(method, path, { access_token }, patience - 1);
  }
  const text = await response.text();
  return { status: response.status, challenge: response.headers.get("www-authenticate"), body: JSON.parse(text) };
}

async function expect(status, method, path, tokens) {
  const answer = await call(method, path, tokens);
  assert.equal(answer.status, status, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

const open = (tokens) => expect(201, "POST", "/sessions/create", tokens);
const current = (tokens) => expect(200, "GET", "/sessions/current", tokens);
const listed = (user, query = "") => expect(200, "GET", `/sessions/user/${user}${query}`, admin);
const end = ({ user_id, id }) => expect(200, "DELETE", `/sessions/user/${user_id}/session/${id}`, admin);

/** The token is out, cannot sign in, and the client learns that the person has to authenticate again. */
async function expectOut(tokens) {
  for (const [method, path] of [["GET", "/sessions/current"], ["POST", "/sessions/create"]]) {
    const { status, challenge, body } = await call(method, path, tokens);
    assert.deepEqual([status, body.code], [401, "session_ended"], JSON.stringify(body));
    assert.match(challenge, /error="insufficient_user_authentication"/);
    assert.match(challenge, /max_age="0"/);
  }
}

test("refreshed tokens are of one session", async () => {
  const browser = new Browser(provider.issuer);
  let tokens = await browser.signIn(PANEL, "70");
  const { id } = await open(tokens);
  for (let round = 0; round < 5; round++) {
    tokens = await browser.refresh(tokens);
    assert.equal((await current(tokens)).id, id);
    assert.equal((await expect(200, "POST", "/sessions/create", tokens)).id, id, "it is signed in already");
  }
  assert.deepEqual((await listed(70)).map((session) => session.id), [id]);
});

for (const [how, options] of [["prompt=login", { prompt: "login" }], ["max_age=0", { max_age: 0 }]]) {
  test(`after an ending only ${how} opens a new session`, async () => {
    const user = options.prompt ? "71" : "72";
    const browser = new Browser(provider.issuer);
    const first = await browser.signIn(PANEL, user);
    const session = await open(first);
    await end(session);
    await expectOut(first);
    const refreshed = await browser.refresh(first);
    await expectOut(refreshed);

    await nextSecond();
    const byCookie = await browser.signIn(PANEL, user);
    assert.deepEqual(byCookie.pages, []);
    await expectOut(byCookie);

    const again = await browser.signIn(PANEL, user, options);
    assert.deepEqual(again.pages, ["login"]);
    const { id } = await open(again);
    assert.notEqual(id, session.id);
    assert.equal((await current(await browser.refresh(again))).id, id);
    for (const old of [first, refreshed, byCookie]) await expectOut(old);
    assert.deepEqual((await listed(user)).map((session) => session.id), [id]);
  });
}

test("after an ending, signing out at the provider and in again opens a new session", async () => {
  const browser = new Browser(provider.issuer);
  const first = await browser.signIn(PANEL, "73");
  const session = await open(first);
  await end(session);
  await browser.signOut();
  const again = await browser.signIn(PANEL, "73");
  assert.notEqual((await open(again)).id, session.id);
  await expectOut(first);
});

test("each client of a browser has a session, and signing out at the provider ends both", async () => {
  const browser = new Browser(provider.issuer);
  const panel = await browser.signIn(PANEL, "76");
  const profile = await browser.signIn(PROFILE, "76");
  const elsewhere = await new Browser(provider.issuer).signIn(PANEL, "76");
  const ids = [(await open(panel)).id, (await open(profile)).id];
  const { id } = await open(elsewhere);
  assert.notEqual(ids[0], ids[1]);

  provider.logouts.length = 0;
  await browser.signOut();
  assert.deepEqual(provider.logouts.map(({ status }) => status), [200, 200]);
  const ended = (await listed(76, "?include_inactive=true")).filter((session) => !session.is_active);
  assert.deepEqual(ended.map((session) => session.id).sort(), ids.sort());
  for (const session of ended) assert.equal(session.end_reason, "logged_out_at_provider");
  for (const tokens of [panel, profile]) await expectOut(tokens);
  assert.equal((await current(elsewhere)).id, id);
});

test("an ending of one client's session leaves the other's", async () => {
  const browser = new Browser(provider.issuer);
  const panel = await browser.signIn(PANEL, "77");
  const profile = await browser.signIn(PROFILE, "77");
  const session = await open(panel);
  const { id } = await open(profile);
  await end(session);
  await expectOut(panel);
  assert.equal((await current(profile)).id, id);
});

test("who signed out at the provider before the service knew of the session is out too", async () => {
  const browser = new Browser(provider.issuer);
  const tokens = await browser.signIn(PANEL, "78");
  await browser.signOut();
  await expectOut(tokens);
});

test("keys rotate while the function runs, and a key that was removed stops counting", async () => {
  const browser = new Browser(provider.issuer);
  const first = await browser.signIn(PANEL, "79");
  const { id } = await open(first);
  await provider.rotate(1);
  const second = await browser.refresh(first);
  assert.equal((await current(second)).id, id, "the service fetches the new key");
  assert.equal((await current(first)).id, id, "the old one is still published");
  await provider.rotate(1);
  assert.equal((await current(await browser.refresh(second))).id, id);
  const { status, body } = await call("GET", "/sessions/current", first);
  assert.equal(status, 401);
  assert.ok(["key_unknown", "token_invalid"].includes(body.code), body.code);
});
