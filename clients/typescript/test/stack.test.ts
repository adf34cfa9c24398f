// Every call against the local stack.

import assert from "node:assert/strict";
import { test } from "node:test";
import axios from "axios";
import { mayOpenSessions } from "sessions-client";
import { throughAxios } from "sessions-client/axios";
import { admin, clientOf, frontEnd, problem, signIn, token } from "./support.ts";

test("an admin lists and ends one; the second time it says whose ending counts", async () => {
  const { session } = await signIn("401");
  const [listed] = await admin().list(401);
  assert.equal(listed?.id, session.id);
  const first = await admin().end(401, session.id, { reason: "lost phone" });
  assert.deepEqual([first.alreadyEnded, first.session.end_note], [false, "lost phone"]);
  const second = await admin().end("401", session.id, { reason: "tidying up" });
  assert.deepEqual(second, { alreadyEnded: true, session: first.session });
  assert.deepEqual(await admin().list(401), []);
  const found = await admin().get(401, session.id);
  assert.ok(!found.is_active && found.end_reason === "revoked_by_admin");
});

test("a history comes in pages, and one after the other", async () => {
  const { session: first } = await signIn("402");
  await admin().end(402, first.id);
  const { session: second } = await signIn("402");
  const page = await admin().historyPage(402, { limit: 1 });
  assert.deepEqual(page.sessions.map(({ id }) => id), [second.id]);
  const last = await admin().historyPage(402, { limit: 1, cursor: page.next });
  assert.deepEqual(last.sessions.map(({ id }) => id), [first.id]);
  assert.equal(last.next, undefined);
  const ids = [];
  for await (const { id, is_active } of admin().history(402, { limit: 1 })) ids.push([id, is_active]);
  assert.deepEqual(ids, [[second.id, true], [first.id, false]]);
});

test("the sessions of all users are searched", async () => {
  const device = { device_fingerprint: "device of a search", device_name: "Search on TempleOS", browser: "Searcher" };
  const found = await clientOf(frontEnd(token("412"))).own.create(device);
  const filter = { browser: "Searcher", ip_address: "127.0.0.1" };
  assert.deepEqual((await admin().searchPage(filter)).sessions.map(({ id }) => id), [found.id]);
  const ids = [];
  for await (const { id } of admin().search(filter, { limit: 1 })) ids.push(id);
  assert.deepEqual(ids, [found.id]);
  assert.equal((await problem(clientOf(frontEnd(token("413"))).admin.searchPage())).code, "admin_only");
});

test("some and all are ended, after a look", async () => {
  const [one, two] = [await signIn("403"), await signIn("403")];
  await signIn("403");
  const [first] = await admin().endSome(403, [one.session.id]);
  assert.equal(first?.session.id, one.session.id);
  assert.equal((await admin().previewEndAll(403)).length, 2);
  assert.equal((await admin().list(403)).length, 2, "looking is not ending");
  const ended = await admin().endAll(403, { reason: "left" });
  assert.deepEqual(ended.map(({ id }) => id).includes(two.session.id), true);
  assert.deepEqual(await admin().endAll(403), []);
});

test("many users are summed up and ended, as many as there are", async () => {
  await signIn("404");
  await signIn("405");
  const users = [404, ...Array.from({ length: 120 }, (_, at) => `nobody-${at}`), "405"];
  const summary = await admin().summary(users);
  assert.equal(summary.length, 122);
  assert.deepEqual([summary[0]?.active, summary[1]?.active, summary[121]?.active], [1, 0, 1]);
  assert.deepEqual([summary[0]?.known, summary[1]?.known], [true, false]);
  const would = await admin().previewEndUsers([404, 405]);
  assert.deepEqual(would.map(({ revoked }) => revoked), [1, 1]);
  const ended = await admin().endUsers(users);
  assert.equal(ended.reduce((sum, { revoked }) => sum + revoked, 0), 2);
});

test("users have their own list, history and endings", async () => {
  const [here, there, third] = [await signIn("406"), await signIn("406"), await signIn("406")];
  const { own } = clientOf(frontEnd(here.token, [], "406"));
  assert.deepEqual((await own.list()).map(({ is_current }) => is_current), [false, false, true]);
  assert.equal(await own.countDevices(), 3);
  assert.equal((await own.current()).id, here.session.id);
  assert.equal((await own.updateActivity()).id, here.session.id);
  assert.equal((await own.end(there.session.id)).session.end_reason, "revoked_by_user");
  assert.deepEqual((await own.logOutElsewhere()).map(({ id }) => id), [third.session.id]);
  assert.equal((await own.get(third.session.id)).is_active, false);
  assert.equal((await own.historyPage({ limit: 2 })).sessions.length, 2);
  const all = [];
  for await (const { id } of own.history({ limit: 2 })) all.push(id);
  assert.equal(all.length, 3);
  assert.equal((await own.logOut()).session.id, here.session.id);
  assert.equal((await problem(own.current())).code, "session_ended");
});

test("everywhere is everywhere", async () => {
  const [here] = [await signIn("407"), await signIn("407")];
  const { own } = clientOf(frontEnd(here.token));
  assert.equal((await own.logOutEverywhere()).length, 2);
});

test("403, 409 and a token without a session sign nobody out", async () => {
  const front = frontEnd(token("408"));
  const client = clientOf(front);
  assert.equal((await problem(client.admin.list(74))).code, "admin_only");
  assert.equal((await problem(client.own.logOutElsewhere())).code, "current_session_unknown");
  assert.equal((await problem(client.own.current())).code, "no_current_session");
  assert.deepEqual(front.seen, { refreshes: 0, signedOut: [], waits: [] });
});

test("the device whose session was ended signs out, and asks for no fresh token", async () => {
  const device = await signIn("409");
  const front = frontEnd(device.token, ["unused"]);
  const { own } = clientOf(front);
  await own.current();
  await admin().end(409, device.session.id);
  assert.equal((await problem(own.current())).code, "session_ended");
  assert.deepEqual(front.seen, { refreshes: 0, signedOut: ["Session has ended"], waits: [] });
});

test("the header names the session for a token that carries none", async () => {
  const bare = frontEnd(token("410", "--expires-in", "900"));
  const session = await clientOf(bare).own.create({ device_fingerprint: "device of 410" });
  const other = frontEnd(token("410", "--expires-in", "901"));
  other.auth.session = () => session.id;
  assert.deepEqual((await clientOf(other).own.list()).map(({ is_current }) => is_current), [true]);
});

test("through axios it is the same", async () => {
  const { session } = await signIn("411");
  const front = frontEnd(token("1", "--role", "admin"));
  const { admin } = clientOf(front, { transport: throughAxios(axios.create()) });
  assert.deepEqual((await admin.list(411)).map(({ id }) => id), [session.id]);
  assert.equal((await admin.historyPage(411, { limit: 1 })).sessions.length, 1);
  assert.deepEqual(await admin.endUsers([411], { reason: "left" }), [{ user_id: 411, revoked: 1 }]);
  assert.equal((await problem(admin.list("%"))).code, "bad_user_id");
});

test("the button is hidden for oneself and from users", () => {
  assert.ok(mayOpenSessions({ id: 1, role: "admin" }, { id: 74 }));
  assert.ok(!mayOpenSessions({ id: 1, role: "admin" }, { id: "1" }));
  assert.ok(!mayOpenSessions({ id: 1, role: "user" }, { id: 74 }));
});
