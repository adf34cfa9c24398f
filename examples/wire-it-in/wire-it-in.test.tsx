// The code of this folder against the local stack, and against a stub where the stack cannot be made to fail.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { isAxiosError, type AxiosInstance } from "axios";
import { Window } from "happy-dom";
import { act } from "react";
import { createRoot } from "react-dom/client";
import { SessionsDialog } from "./SessionsDialog";
import { endOtherSessions, endSession, history, listSessions, mayOpenSessions, problem, sessionsApi } from "./sessions";
import type { components } from "./openapi";

const API = process.env.API_URL!;
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1";

type SignedIn = components["schemas"]["SignedIn"];

/** A token as the back end would issue it. */
function token(user: string, ...options: string[]): string {
  return execFileSync(process.env.LOCAL!, ["token", "--user", user, ...options], { encoding: "utf8" }).trim();
}

/** A front end with these tokens: the first, and those that the back end hands out at each refresh. */
function frontEnd(first: string, fresh: string[] = [], baseURL = API) {
  const seen = { refreshes: 0, signedOut: [] as string[], waits: [] as number[] };
  let current = first;
  const auth = {
    token: () => current,
    refresh: async () => {
      seen.refreshes += 1;
      current = fresh.shift() ?? "";
      return current !== "";
    },
    signOut: (reason: string) => seen.signedOut.push(reason),
  };
  const wait = async (milliseconds: number) => void seen.waits.push(milliseconds);
  return { http: sessionsApi(baseURL, auth, wait), seen };
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

test("429 and 503 are waited for and repeated, a few times", async () => {
  const message = (text: string) => ({ "Content-Type": "application/json", body: JSON.stringify({ message: text }) });
  const answers = [
    { status: 429, headers: {}, ...message("Too Many Requests") },
    { status: 503, headers: { "Retry-After": "7" }, ...message("Service Unavailable") },
    { status: 200, headers: {}, "Content-Type": "application/json", body: "[]" },
  ];
  const answer = (response: ServerResponse) => {
    const { status, headers, body } = answers.length > 1 ? answers.shift()! : answers[0]!;
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(body);
  };
  const stub = createServer((_, response) => answer(response));
  await new Promise<void>((listening) => stub.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${(stub.address() as AddressInfo).port}`;
  try {
    const { http, seen } = frontEnd("token", [], url);
    assert.deepEqual(await listSessions(http, 74), []);
    assert.deepEqual(seen.waits, [1000, 7000]);
    answers.splice(0, 1, { status: 429, headers: {}, ...message("Too Many Requests") });
    assert.deepEqual(await refusal(listSessions(http, 74)), { status: 429, code: undefined });
    assert.deepEqual(seen.waits.slice(2), [1000, 2000, 4000]);
    assert.deepEqual(seen.signedOut, []);
  } finally {
    stub.closeAllConnections();
    stub.close();
  }
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

type Until = (holds: () => unknown) => Promise<void>;

async function withDialog(http: AxiosInstance, user: number, body: (page: Element, until: Until) => Promise<void>) {
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
    await act(async () => root.render(<SessionsDialog http={http} userId={user} />));
    await body(page, until);
  } finally {
    await act(async () => root.unmount());
    await window.happyDOM.close();
  }
}
