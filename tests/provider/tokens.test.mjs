// What the provider's tokens hold, and what changes them. docs/providers.md and the tests of the service beside this
// rely on it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRemoteJWKSet, decodeJwt, jwtVerify } from "jose";
import { Browser } from "./browser.mjs";
import { nextSecond } from "./clock.mjs";
import { AUDIENCE, PANEL, PROFILE, startProvider } from "./provider.mjs";

let provider;
before(async () => {
  provider = await startProvider({ port: 0 });
});
after(() => provider.stop());

const claims = ({ access_token }) => decodeJwt(access_token);

/** The keys that the provider publishes now. */
const published = () => createRemoteJWKSet(new URL(`${provider.issuer}/jwks`));

test("an access token is a JWT for the API, of a user, a client and a session", async () => {
  const tokens = await new Browser(provider.issuer).signIn(PANEL, "74");
  assert.deepEqual(tokens.pages, ["login", "consent"]);
  const expected = { issuer: provider.issuer, audience: AUDIENCE, typ: "at+jwt" };
  const { payload } = await jwtVerify(tokens.access_token, published(), expected);
  assert.equal(payload.sub, "74");
  assert.equal(payload.client_id, PANEL);
  assert.equal(payload.sid, decodeJwt(tokens.id_token).sid, "the same as in the ID token");
  assert.ok(payload.auth_time <= payload.iat);
  assert.deepEqual(payload.realm_access, { roles: [] });
});

test("a refresh keeps sid and auth_time", async () => {
  const browser = new Browser(provider.issuer);
  const first = await browser.signIn(PANEL, "74");
  let tokens = first;
  for (let round = 0; round < 5; round++) {
    await nextSecond();
    tokens = await browser.refresh(tokens);
    const { sid, auth_time, iat } = claims(tokens);
    assert.deepEqual({ sid, auth_time }, { sid: claims(first).sid, auth_time: claims(first).auth_time });
    assert.ok(iat > auth_time);
  }
});

for (const [how, options, pages, moves] of [
  ["by cookie", {}, [], false],
  ["with prompt=login", { prompt: "login" }, ["login"], true],
  ["with max_age=0", { max_age: 0 }, ["login"], true],
]) {
  test(`signing in again ${how} keeps sid, and auth_time ${moves ? "moves" : "stays"}`, async () => {
    const browser = new Browser(provider.issuer);
    const first = claims(await browser.signIn(PANEL, "74"));
    await nextSecond();
    const again = await browser.signIn(PANEL, "74", options);
    assert.deepEqual(again.pages, pages);
    assert.equal(claims(again).sid, first.sid);
    assert.equal(claims(again).auth_time > first.auth_time, moves);
  });
}

test("a second client of the same browser has a sid of its own, and the same auth_time", async () => {
  const browser = new Browser(provider.issuer);
  const panel = claims(await browser.signIn(PANEL, "74"));
  const profile = await browser.signIn(PROFILE, "74");
  assert.deepEqual(profile.pages, ["consent"]);
  assert.notEqual(claims(profile).sid, panel.sid);
  assert.equal(claims(profile).auth_time, panel.auth_time);
});

test("signing out posts a logout token to each client, and the next sign-in has a new sid", async () => {
  const browser = new Browser(provider.issuer);
  const first = [await browser.signIn(PANEL, "74"), await browser.signIn(PROFILE, "74")].map(claims);
  provider.logouts.length = 0;
  await browser.signOut();
  assert.equal(provider.logouts.length, 2);
  for (const { sid, client_id } of first) {
    const { token } = provider.logouts.find(({ token }) => decodeJwt(token).aud === client_id);
    const { payload } = await jwtVerify(token, published(), { issuer: provider.issuer, typ: "logout+jwt" });
    const { events, nonce, ...rest } = payload;
    assert.deepEqual(events, { "http://schemas.openid.net/event/backchannel-logout": {} });
    assert.equal(nonce, undefined);
    assert.deepEqual([rest.sub, rest.sid], ["74", sid]);
    assert.ok(rest.exp > rest.iat && rest.jti);
  }
  const again = await browser.signIn(PANEL, "74");
  assert.equal(again.pages[0], "login");
  assert.notEqual(claims(again).sid, first[0].sid);
});

test("a rotation keeps the session, and tokens of a key that is still published count", async () => {
  const browser = new Browser(provider.issuer);
  const old = await browser.signIn(PANEL, "74");
  await provider.rotate(1);
  const fresh = await browser.refresh(old);
  assert.equal(claims(fresh).sid, claims(old).sid);
  for (const { access_token } of [old, fresh]) await jwtVerify(access_token, published());
  await provider.rotate(1);
  await assert.rejects(jwtVerify(old.access_token, published()), { code: "ERR_JWKS_NO_MATCHING_KEY" });
  await jwtVerify(fresh.access_token, published());
});
