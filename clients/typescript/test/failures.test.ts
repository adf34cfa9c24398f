// What happens on each refusal, against a stub.

import assert from "node:assert/strict";
import { test } from "node:test";
import axios from "axios";
import { isProblem } from "sessions-client";
import { authenticate, throughAxios } from "sessions-client/axios";
import { clientOf, EXPIRED, frontEnd, NOTHING, problem, refusal, TOO_MANY, UNAVAILABLE, withStub, type Answer } from "./support.ts";

const MALFORMED = refusal(401, "token_malformed", "The bearer token is malformed");

test("429 and 503 are waited for and repeated, a few times, unless that is switched off", async () => {
  const answers = [TOO_MANY, UNAVAILABLE, NOTHING];
  let requests = 0;
  await withStub(
    () => (requests++, answers.shift() ?? TOO_MANY),
    async (baseUrl) => {
      const front = frontEnd("token");
      const client = clientOf(front, { baseUrl });
      assert.deepEqual(await client.admin.list(74), []);
      assert.deepEqual(front.seen.waits, [1000, 7000]);
      assert.equal((await problem(client.admin.list(74))).code, "throttled");
      assert.deepEqual(front.seen.waits.slice(2), [1000, 2000, 4000]);
      requests = 0;
      assert.equal((await problem(client.admin.list(74, { retries: 0 }))).code, "throttled");
      assert.equal((await problem(clientOf(front, { baseUrl, retries: 0 }).admin.list(74))).code, "throttled");
      assert.equal(requests, 2);
    },
  );
});

test("nobody waits for minutes before the screen", async () => {
  const later = { ...UNAVAILABLE, headers: { "Retry-After": "600" } };
  await withStub(
    () => later,
    async (baseUrl) => {
      const front = frontEnd("token");
      assert.equal((await problem(clientOf(front, { baseUrl }).admin.list(74))).retryAfter, 600);
      assert.deepEqual(front.seen.waits, []);
    },
  );
});

test("what one user asked for is not sent as the next user", async () => {
  for (const refused of [TOO_MANY, UNAVAILABLE, EXPIRED, refusal(401, "key_unknown", "The key is not known yet")]) {
    const tokens: (string | undefined)[] = [];
    let leave: () => void = () => undefined;
    await withStub(
      ({ headers }) => {
        tokens.push(headers.authorization);
        leave();
        return tokens.length === 1 ? refused : NOTHING;
      },
      async (baseUrl) => {
        const front = frontEnd("of 74", ["of 74, too"], "74");
        leave = () => front.signIn("75", "of 75");
        await problem(clientOf(front, { baseUrl }).own.logOutElsewhere());
        assert.deepEqual(tokens, ["Bearer of 74"]);
        assert.deepEqual(front.seen.signedOut, [], "75 stays signed in");
      },
    );
  }
});

test("a request that waits is dropped when its user leaves", async () => {
  let requests = 0;
  await withStub(
    () => (requests++, TOO_MANY),
    async (baseUrl) => {
      const front = frontEnd("of 74", [], "74");
      const client = clientOf(front, { baseUrl }, () => front.signIn("75", "of 75"));
      assert.equal((await problem(client.own.logOutElsewhere())).code, "throttled");
      assert.equal(requests, 1);
    },
  );
});

test("an answer for the user before is given to nobody", async () => {
  let leave: () => void = () => undefined;
  await withStub(
    () => (leave(), NOTHING),
    async (baseUrl) => {
      const front = frontEnd("of 74", [], "74");
      leave = () => front.signIn("75", "of 75");
      assert.equal((await problem(clientOf(front, { baseUrl }).own.list())).code, "user_changed");
    },
  );
});

test("clients with the same Auth share one refresh, and an axios instance too", async () => {
  await withStub(
    ({ headers }) => (headers.authorization === "Bearer fresh" ? NOTHING : EXPIRED),
    async (baseUrl) => {
      const front = frontEnd("expired", ["fresh"]);
      const http = axios.create({ baseURL: baseUrl });
      authenticate(http, front.auth);
      await Promise.all([
        clientOf(front, { baseUrl }).admin.list(74),
        clientOf(front, { baseUrl }).own.list(),
        http.get("/elsewhere"),
      ]);
      assert.deepEqual(front.seen, { refreshes: 1, signedOut: [], waits: [] });
    },
  );
});

test("requests that are refused together sign out once, with the first reason", async () => {
  await withStub(
    ({ headers }) => (headers.authorization === "Bearer expired" ? EXPIRED : MALFORMED),
    async (baseUrl) => {
      const front = frontEnd("expired");
      const { admin } = clientOf(front, { baseUrl });
      const http = axios.create({ baseURL: baseUrl });
      authenticate(http, front.auth);
      const [first, second] = await Promise.all([
        problem(admin.list(74)),
        problem(admin.list(75)),
        assert.rejects(http.get("/elsewhere")),
      ]);
      assert.deepEqual([first.code, second.code], ["token_expired", "token_expired"]);
      assert.deepEqual(front.seen, { refreshes: 1, signedOut: ["The token has expired"], waits: [] });
    },
  );
});

test("a fresh token that is refused too signs out", async () => {
  await withStub(
    () => EXPIRED,
    async (baseUrl) => {
      const front = frontEnd("expired", ["expired, too"]);
      await problem(clientOf(front, { baseUrl }).admin.list(74));
      assert.deepEqual(front.seen, { refreshes: 1, signedOut: ["The token has expired"], waits: [] });
    },
  );
});

test("a refresh that could not be asked for signs nobody out", async () => {
  await withStub(
    () => EXPIRED,
    async (baseUrl) => {
      const front = frontEnd("expired");
      front.auth.refresh = () => Promise.reject(new Error("offline"));
      await assert.rejects(clientOf(front, { baseUrl }).admin.list(74), { message: "offline" });
      assert.deepEqual(front.seen.signedOut, []);
    },
  );
});

test("a provider's session that has ended asks for a new authentication", async () => {
  const headers = { "WWW-Authenticate": 'Bearer error="insufficient_user_authentication", max_age="0"' };
  await withStub(
    () => ({ ...refusal(401, "session_ended", "Session has ended"), headers }),
    async (baseUrl) => {
      const front = frontEnd("token", ["unused"]);
      const ages: (number | undefined)[] = [];
      front.auth.signOut = ({ maxAge }) => ages.push(maxAge);
      await problem(clientOf(front, { baseUrl }).own.current());
      assert.deepEqual([ages, front.seen.refreshes], [[0], 0]);
    },
  );
});

test("a user who is locked is signed out without a refresh, and learns until when", async () => {
  await withStub(
    () => refusal(401, "user_locked", "This user is locked", { until: "2026-12-01T00:00:00Z" }),
    async (baseUrl) => {
      const front = frontEnd("token", ["unused"]);
      const refused = await problem(clientOf(front, { baseUrl }).own.current());
      assert.ok(isProblem(refused, "user_locked") && refused.body.until === "2026-12-01T00:00:00Z");
      assert.deepEqual(front.seen, { refreshes: 0, signedOut: ["This user is locked"], waits: [] });
    },
  );
});

test("a key that is not known yet is waited for once, and signs nobody out", async () => {
  const unknown = { ...refusal(401, "key_unknown", "The key is not known yet"), headers: { "Retry-After": "3" } };
  const answers: Answer[] = [unknown, NOTHING];
  await withStub(
    () => answers.shift() ?? unknown,
    async (baseUrl) => {
      const front = frontEnd("token", ["unused"]);
      assert.deepEqual(await clientOf(front, { baseUrl }).own.list(), []);
      assert.equal((await problem(clientOf(front, { baseUrl }).own.list())).code, "key_unknown");
      assert.deepEqual(front.seen, { refreshes: 0, signedOut: [], waits: [3000, 3000] });
    },
  );
});

test("with too many sessions the user chooses, and the choice is sent", async () => {
  const bodies: string[] = [];
  const sessions = [{ id: "01990000-0000-7000-8000-000000000074", device_name: "Old phone" }];
  await withStub(
    (_, body) => (bodies.push(body), bodies.length === 1 ? refusal(409, "too_many_sessions", "Too many", { sessions }) : NOTHING),
    async (baseUrl) => {
      const { own } = clientOf(frontEnd("token"), { baseUrl });
      const refused = await problem(own.create({ device_name: "New phone" }));
      assert.ok(isProblem(refused, "too_many_sessions"));
      const end = refused.body.sessions.map(({ id }) => id);
      await own.create({ device_name: "New phone", end });
      assert.deepEqual(JSON.parse(bodies[1] ?? ""), { device_name: "New phone", end });
    },
  );
});

test("many users are ended on and on, and a failure tells who is left of all", async () => {
  const users = Array.from({ length: 150 }, (_, at) => String(at));
  const ended = (ids: string[]) => ids.map((user_id) => ({ user_id, revoked: 1 }));
  const asked: string[][] = [];
  let broken = false;
  await withStub(
    (_, body) => {
      const { user_ids: ids } = JSON.parse(body) as { user_ids: string[] };
      asked.push(ids);
      const failure = (of: object) => refusal(503, "store_unavailable", "The store is not available", of);
      if (broken) return failure({ ended: [], remaining: ids });
      if (asked.length === 1) return failure({ ended: ended(ids.slice(0, 60)), remaining: ids.slice(60) });
      return { status: 200, body: { success: true, message: "", revoked: ids.length, users: ended(ids) } };
    },
    async (baseUrl) => {
      const { admin } = clientOf(frontEnd("token"), { baseUrl });
      const all = await admin.endUsers(users);
      assert.deepEqual(all.map(({ user_id }) => user_id).toSorted(), users.toSorted());
      assert.deepEqual(asked.map(({ length }) => length), [100, 90], "nobody is asked for twice");
      broken = true;
      const refused = await problem(admin.endUsers(users));
      assert.ok(isProblem(refused, "store_unavailable"));
      assert.equal(refused.body.remaining?.length, 150);
    },
  );
});

test("no answer, and an answer of something else, are told apart", async () => {
  await withStub(
    () => ({ status: 404, body: "<html>" }),
    async (baseUrl) => {
      assert.equal((await problem(clientOf(frontEnd("token"), { baseUrl }).own.list())).code, "gateway");
    },
  );
  const baseUrl = "http://127.0.0.1:9";
  for (const more of [{}, { transport: throughAxios(axios.create()) }]) {
    assert.equal((await problem(clientOf(frontEnd("token"), { baseUrl, ...more }).own.list())).code, "unreachable");
  }
});

test("a signal ends the request and the waiting", async () => {
  let answer: () => void = () => undefined;
  const asked = new Promise<void>((done) => (answer = done));
  await withStub(
    () => (answer(), new Promise<Answer>(() => undefined)),
    async (baseUrl) => {
      for (const more of [{}, { transport: throughAxios(axios.create()) }]) {
        const stop = new AbortController();
        const call = clientOf(frontEnd("token"), { baseUrl, ...more }).own.list({ signal: stop.signal });
        await asked;
        stop.abort();
        await assert.rejects(call, { name: "AbortError" });
      }
    },
  );
  await withStub(
    () => TOO_MANY,
    async (baseUrl) => {
      const stop = new AbortController();
      const { auth } = frontEnd("token");
      const { sessionsClient } = await import("sessions-client");
      const call = sessionsClient({ baseUrl, auth }).own.list({ signal: stop.signal });
      setImmediate(() => stop.abort());
      await assert.rejects(call, { name: "AbortError" });
    },
  );
});

test("a list of users is sent as the service reads it, through axios too", async () => {
  const urls: (string | undefined)[] = [];
  await withStub(
    ({ url }) => (urls.push(url), NOTHING),
    async (baseUrl) => {
      for (const more of [{}, { transport: throughAxios(axios.create()) }]) {
        await clientOf(frontEnd("token"), { baseUrl, ...more }).admin.summary([74, "auth0|ab"]);
      }
    },
  );
  assert.deepEqual(urls, Array(2).fill("/sessions/summary?user_id=74&user_id=auth0%7Cab"));
});
