// The code of this folder against the local stack, and against a stub where the stack cannot be made to fail.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { isAxiosError, type AxiosInstance } from "axios";
import { Window } from "happy-dom";
import { act } from "react";
import { createRoot } from "react-dom/client";
import { SessionsDialog } from "./SessionsDialog";
import { endOtherSessions, endSession, history, listSessions, mayOpenSessions, problem, sessionsApi, type Session } from "./sessions";
import type { components } from "./openapi";

const API = process.env.API_URL!;
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1";

type SignedIn = components["schemas"]["SignedIn"];

/** A token as the back end would issue it. */
function token(user: string, ...options: string[]): string {
  return execFileSync(process.env.LOCAL!, ["token", "--user", user, ...options], { encoding: "utf8" }).trim();
}

/**
 * A front end with these tokens: the first, and those that the back end hands out at each refresh. `signIn` is what
 * happens when somebody else signs in, and `during` what happens while a request waits.
 */
function frontEnd(first: string, fresh: string[] = [], baseURL = API, during: () => void = () => {}) {
  const seen = { refreshes: 0, signedOut: [] as string[], waits: [] as number[] };
  let current: { user: string; token: string } | undefined = { user: "somebody", token: first };
  const auth = {
    user: () => current?.user,
    token: () => current?.token ?? "",
    refresh: async () => {
      seen.refreshes += 1;
      const token = fresh.shift();
      if (current && token) current.token = token;
      return token !== undefined;
    },
    signOut: (reason: string) => {
      seen.signedOut.push(reason);
      current = undefined;
    },
  };
  const wait = async (milliseconds: number) => {
    seen.waits.push(milliseconds);
    during();
  };
  const signIn = (user: string, token: string) => void (current = { user, token });
  return { http: sessionsApi(baseURL, auth, wait), seen, signIn };
}

const admin = () => frontEnd(token("1", "--role", "admin"));

/** Signs a user in on a new device, and gives the session and a token that names it. */
async function signIn(user: string, device: string): Promise<{ session: SignedIn; token: string }> {
  const { http } = frontEnd(token(user, "--expires-in", String(1000 + devices++)));
  const body = { device_fingerprint: device };
  const { data } = await http.post<SignedIn>("/sessions/create", body, { headers: { "User-Agent": PHONE } });
  return { session: data, token: token(user, "--sid", data.id) };
}
let devices = 0;

async function refusal(request: Promise<unknown>): Promise<{ status: number | undefined; code: string | undefined }> {
  const error: unknown = await request.then(
    () => assert.fail("it was not refused"),
    (error: unknown) => error,
  );
  return { status: isAxiosError(error) ? error.response?.status : undefined, code: problem(error).code };
}

test("an admin lists and ends, and a second click does no harm", async () => {
  const { http } = admin();
  const { session } = await signIn("301", "phone");
  const [listed] = await listSessions(http, 301);
  assert.equal(listed?.id, session.id);
  assert.equal(listed.device_name, "Safari on iPhone");
  const ended = await endSession(http, listed, "lost phone");
  assert.equal(ended.end_note, "lost phone");
  assert.deepEqual(await endSession(http, listed), ended);
  assert.deepEqual(await listSessions(http, 301), []);
});

test("the history is read to its end", async () => {
  const { http } = admin();
  const { session: first } = await signIn("302", "phone");
  await endSession(http, first);
  const { session: second } = await signIn("302", "tablet");
  const pages = [];
  for await (const page of history(http, 302, 1)) pages.push(page.map(({ id, is_active }) => [id, is_active]));
  assert.deepEqual(pages.flat(), [
    [second.id, true],
    [first.id, false],
  ]);
});

test("the device whose session was ended signs out, and asks for no fresh token", async () => {
  const device = await signIn("303", "phone");
  const { http, seen } = frontEnd(device.token, ["unused"]);
  await http.get("/sessions/current");
  await endSession(admin().http, device.session);
  assert.deepEqual(await refusal(http.get("/sessions/current")), { status: 401, code: "session_ended" });
  assert.deepEqual(seen, { refreshes: 0, signedOut: ["Session has ended"], waits: [] });
});

test("requests with an expired token share one refresh, and the fresh token keeps the session", async () => {
  const { session } = await signIn("304", "phone");
  const tokenFor = (seconds: string) => token("304", "--sid", session.id, "--expires-in", seconds);
  const { http, seen } = frontEnd(tokenFor("-60"), [tokenFor("600")]);
  const answers = await Promise.all([http.get("/sessions/current"), http.get("/sessions/current")]);
  assert.deepEqual(
    answers.map(({ data }) => data.id),
    [session.id, session.id],
  );
  assert.deepEqual(seen, { refreshes: 1, signedOut: [], waits: [] });
});

test("when the back end refuses a refresh, or its fresh token is refused, the user is signed out", async () => {
  const expired = token("305", "--expires-in", "-60");
  for (const fresh of [[], [expired]]) {
    const { http, seen } = frontEnd(expired, fresh);
    assert.deepEqual(await refusal(http.get("/sessions/my-sessions")), { status: 401, code: "token_expired" });
    assert.deepEqual(seen, { refreshes: 1, signedOut: ["The token has expired"], waits: [] });
  }
});

test("403, 409 and a token without a session sign nobody out", async () => {
  const { http, seen } = frontEnd(token("306"));
  assert.deepEqual(await refusal(listSessions(http, 74)), { status: 403, code: "admin_only" });
  assert.deepEqual(await refusal(endOtherSessions(http)), { status: 409, code: "current_session_unknown" });
  assert.deepEqual(await refusal(http.get("/sessions/current")), { status: 401, code: "no_current_session" });
  assert.deepEqual(seen, { refreshes: 0, signedOut: [], waits: [] });
});

test("signing out elsewhere keeps this device", async () => {
  const here = await signIn("307", "phone");
  const there = await signIn("307", "tablet");
  const { http } = frontEnd(here.token);
  assert.equal(await endOtherSessions(http), 1);
  await http.get("/sessions/current");
  const other = frontEnd(there.token);
  assert.equal((await refusal(other.http.get("/sessions/current"))).code, "session_ended");
});

const TOO_MANY = { status: 429, body: { message: "Too Many Requests" } };
const UNAVAILABLE = { status: 503, headers: { "Retry-After": "7" }, body: { message: "Service Unavailable" } };
const NOTHING = { status: 200, body: [] };
const EXPIRED = { status: 401, body: { code: "token_expired", detail: "The token has expired" } };
const MALFORMED = { status: 401, body: { code: "token_malformed", detail: "The bearer token is malformed" } };

test("429 and 503 are waited for and repeated, a few times", async () => {
  const answers: Answer[] = [TOO_MANY, UNAVAILABLE, NOTHING];
  await withStub(
    () => answers.shift() ?? TOO_MANY,
    async (url) => {
      const { http, seen } = frontEnd("token", [], url);
      assert.deepEqual(await listSessions(http, 74), []);
      assert.deepEqual(seen.waits, [1000, 7000]);
      assert.deepEqual(await refusal(listSessions(http, 74)), { status: 429, code: undefined });
      assert.deepEqual(seen.waits.slice(2), [1000, 2000, 4000]);
      assert.deepEqual(seen.signedOut, []);
    },
  );
});

test("what one user asked for is not repeated as the next user", async () => {
  for (const refused of [TOO_MANY, UNAVAILABLE, EXPIRED]) {
    const tokens: (string | undefined)[] = [];
    let leave = () => {};
    const answer = (request: IncomingMessage) => {
      tokens.push(request.headers.authorization);
      // The next user signs in while the answer is on its way, and while it is waited for.
      leave();
      return tokens.length === 1 ? refused : NOTHING;
    };
    await withStub(answer, async (url) => {
      const { http, signIn } = frontEnd("of 74", ["of 74, too"], url);
      leave = () => signIn("75", "of 75");
      await assert.rejects(endOtherSessions(http));
      assert.deepEqual(tokens, ["Bearer of 74"]);
    });
  }
});

test("waiting requests are dropped when the user leaves", async () => {
  let requests = 0;
  await withStub(
    () => (requests++, TOO_MANY),
    async (url) => {
      const front = frontEnd("of 74", [], url, () => front.signIn("75", "of 75"));
      assert.equal((await refusal(endOtherSessions(front.http))).status, 429);
      assert.equal(requests, 1);
    },
  );
});

test("two requests at once sign out once, with the first reason", async () => {
  await withStub(
    ({ headers }) => (headers.authorization === "Bearer " ? MALFORMED : EXPIRED),
    async (url) => {
      const { http, seen } = frontEnd("expired", [], url);
      const refused = await Promise.all([refusal(listSessions(http, 74)), refusal(listSessions(http, 75))]);
      assert.deepEqual(refused.map(({ code }) => code), ["token_expired", "token_expired"]);
      assert.deepEqual(seen, { refreshes: 1, signedOut: ["The token has expired"], waits: [] });
    },
  );
});

test("the button is hidden for oneself and from users", () => {
  assert.ok(mayOpenSessions({ id: 1, role: "admin" }, { id: 74 }));
  assert.ok(!mayOpenSessions({ id: 1, role: "admin" }, { id: "1" }));
  assert.ok(!mayOpenSessions({ id: 1, role: "user" }, { id: 74 }));
});

test("the dialog shows the sessions and ends one", async () => {
  await signIn("308", "phone");
  await withDialog(admin().http, 308, async (page, until) => {
    await until(() => page.textContent?.includes("Safari on iPhone"));
    page.querySelector("button")!.click();
    await until(() => page.textContent === "This user is not signed in anywhere.");
  });
});

test("the dialog shows why it failed, with the id to ask about", async () => {
  await withDialog(frontEnd(token("309")).http, 74, async (page, until) => {
    await until(() => page.querySelector("[role=alert]"));
    assert.match(page.textContent!, /^Only admins can view other users' sessions \(request .+\)$/);
  });
});

const session = (user: number, device: string): Session => ({
  id: `01990000-0000-7000-8000-000000000${user}`,
  user_id: user,
  device_name: device,
  device_type: "mobile",
  browser: "Safari",
  os: "iOS",
  ip_address: "203.0.113.9",
  signed_in_ip: "203.0.113.9",
  created_at: "2026-11-01T10:00:00Z",
  last_activity: "2026-11-01T10:00:00Z",
  expires_at: "2026-12-01T10:00:00Z",
  is_active: true,
});

test("the dialog never shows or ends the sessions of the user before", async () => {
  let answer: (answer: Answer) => void = () => {};
  const asked: string[] = [];
  await withStub(
    ({ method, url }) => {
      asked.push(`${method} ${url}`);
      if (url === "/sessions/user/500") return { status: 200, body: [session(500, "Phone of 500")] };
      return new Promise<Answer>((later) => (answer = later));
    },
    async (url) => {
      await withDialog(frontEnd("token", [], url).http, 500, async (page, until, show) => {
        await until(() => page.textContent?.includes("Phone of 500"));
        await show(75);
        assert.ok(!page.textContent?.includes("Phone of 500"), "nothing of 500 while 75 is loaded");
        assert.equal(page.querySelector("li button"), null);
        await until(() => asked.length === 2);
        answer({ status: 403, body: { code: "admin_only", detail: "Not yours" } });
        await until(() => page.querySelector("[role=alert]"));
        assert.ok(!page.textContent?.includes("Phone of 500"), "nothing of 500 when 75 cannot be loaded");
        await show(76);
        assert.equal(page.querySelector("[role=alert]"), null, "what failed for 75 is not said of 76");
        await until(() => asked.length === 3);
        answer({ status: 200, body: [session(76, "Phone of 76")] });
        await until(() => page.textContent?.includes("Phone of 76"));
      });
    },
  );
  assert.ok(asked.every((request) => request.startsWith("GET ")), "nothing was ended");
});

test("after an End the focus stays in the dialog, and an alert goes with the next try", async () => {
  await signIn("310", "phone");
  let fail = true;
  const { http } = admin();
  http.interceptors.request.use((request) => {
    if (request.method !== "delete" || !fail) return request;
    fail = false;
    throw new Error("offline");
  });
  await withDialog(http, 310, async (page, until) => {
    await until(() => page.querySelector("li button"));
    const end = page.querySelector<HTMLButtonElement>("li button")!;
    end.focus();
    await act(async () => end.click());
    await until(() => page.querySelector("[role=alert]"));
    assert.equal(page.ownerDocument.activeElement, end);
    await act(async () => end.click());
    await until(() => !page.querySelector("li"));
    assert.equal(page.querySelector("[role=alert]"), null);
    const { activeElement, body } = page.ownerDocument;
    assert.ok(activeElement !== body && page.contains(activeElement), "the focus is in the dialog");
  });
});

/** What a stub answers. */
interface Answer {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

/** A service that answers as the test wants. */
async function withStub(
  answer: (request: IncomingMessage) => Answer | Promise<Answer>,
  body: (url: string) => Promise<void>,
) {
  const stub = createServer(async (request, response) => {
    const { status, headers, body } = await answer(request);
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
  });
  await new Promise<void>((listening) => stub.listen(0, "127.0.0.1", listening));
  try {
    await body(`http://127.0.0.1:${(stub.address() as AddressInfo).port}`);
  } finally {
    stub.closeAllConnections();
    stub.close();
  }
}

type Until = (holds: () => unknown) => Promise<void>;
type Show = (user: number) => Promise<void>;
type Story = (page: Element, until: Until, show: Show) => Promise<void>;

async function withDialog(http: AxiosInstance, user: number, body: Story) {
  const window = new Window();
  const { document } = window as unknown as { document: Document };
  Object.assign(globalThis, { window, document, IS_REACT_ACT_ENVIRONMENT: true });
  const page = document.createElement("div");
  document.body.append(page);
  const root = createRoot(page);
  const until: Until = async (holds) => {
    const deadline = Date.now() + 10_000;
    while (!holds()) {
      assert.ok(Date.now() < deadline, `the page shows: ${page.textContent}`);
      await act(async () => void (await new Promise(setImmediate)));
    }
  };
  try {
    const show = (userId: number) => act(async () => root.render(<SessionsDialog http={http} userId={userId} />));
    await show(user);
    await body(page, until, show);
  } finally {
    await act(async () => root.unmount());
    await window.happyDOM.close();
  }
}
