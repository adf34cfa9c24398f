// The code of this folder against the local stack, and against a stub where the stack cannot be made to fail.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import axios from "axios";
import { Window } from "happy-dom";
import { act } from "react";
import { createRoot } from "react-dom/client";
import { type Session, type SessionsClient, type SignedIn } from "sessions-client";
import { authOf, createApi, Sessions, type Account } from "./api";
import { withInterceptors, withoutInterceptors } from "./axios";
import { devicesOf, endedByAdmins } from "./plain";
import { SessionsDialog } from "./SessionsDialog";
import { openSession, signInUrl } from "./sign-in";

const API = process.env.API_URL!;

/** A token as the back end would issue it. */
function token(user: string, ...options: string[]): string {
  return execFileSync(process.env.LOCAL!, ["token", "--user", user, ...options], { encoding: "utf8" }).trim();
}

/** An application in which somebody is signed in, and what its sign-in page was told. */
function application(account: Account, fresh?: Account, baseUrl = API) {
  let current: Account | undefined = account;
  const reasons: object[] = [];
  const store = { get: () => current, set: (account: Account | undefined) => void (current = account) };
  const auth = authOf(store, async () => fresh, (reason) => reasons.push(reason));
  return { api: createApi(baseUrl, auth), auth, store, reasons };
}

const adminToken = token("1", "--role", "admin");
const admin = () => application({ user: "1", token: adminToken }).api;

let devices = 0;

async function signIn(user: string, device_name = "Phone"): Promise<{ session: SignedIn; token: string }> {
  const { api } = application({ user, token: token(user, "--expires-in", String(1000 + devices)) });
  const session = await api.own.create({ device_fingerprint: `device ${devices++}`, device_name });
  return { session, token: token(user, "--sid", session.id) };
}

test("requests with an expired token share one refresh, and the fresh token keeps the session", async () => {
  const { session } = await signIn("304");
  const account = (seconds: string) => ({ user: "304", token: token("304", "--sid", session.id, "--expires-in", seconds) });
  const { api, reasons } = application(account("-60"), account("600"));
  const answers = await Promise.all([api.own.current(), api.own.current()]);
  assert.deepEqual(answers.map(({ id }) => id), [session.id, session.id]);
  assert.deepEqual(reasons, []);
});

test("when the back end refuses a refresh, the account is forgotten and the reason shown once", async () => {
  const { api, store, reasons } = application({ user: "305", token: token("305", "--expires-in", "-60") });
  await Promise.all([assert.rejects(api.own.list()), assert.rejects(api.own.list())]);
  assert.deepEqual(reasons, [{ code: "token_expired", authenticateAgain: false }]);
  assert.equal(store.get(), undefined);
});

test("a refresh that comes too late does not bring the user before back", async () => {
  const late = application({ user: "74", token: token("74", "--expires-in", "-60") }, { user: "74", token: "fresh" });
  const request = assert.rejects(late.api.own.list());
  late.store.set({ user: "75", token: "of 75" });
  await request;
  assert.deepEqual(late.store.get(), { user: "75", token: "of 75" });
});

test("an axios instance works with interceptors of its own, and without", async () => {
  await signIn("306");
  const { auth } = application({ user: "1", token: adminToken });
  const bare = withoutInterceptors(axios.create(), API, auth);
  assert.equal((await bare.admin.list(306)).length, 1);
  const http = axios.create();
  http.interceptors.request.use((config) => {
    config.headers.set("Authorization", `Bearer ${adminToken}`);
    return config;
  });
  const own = withInterceptors(http, API, () => 1);
  assert.equal((await own.admin.summary([306, 74])).length, 2);
});

test("without React it is the same", async () => {
  const { session } = await signIn("307", "Tablet");
  assert.deepEqual(await devicesOf(admin(), 307), ["Tablet"]);
  await admin().admin.end(307, session.id);
  assert.deepEqual(await endedByAdmins(admin(), 307, 1), ["Tablet"]);
  const user = application({ user: "307", token: token("307", "--expires-in", "5000") }).api;
  assert.deepEqual(await devicesOf(user, 74), []);
});

test("with too many devices the user chooses one", async () => {
  const tooMany = { status: 409, code: "too_many_sessions", detail: "Too many", sessions: [session(74, "Old phone")] };
  const bodies: unknown[] = [];
  await withStub(
    (_, body) => (bodies.push(JSON.parse(body)), bodies.length === 1 ? { status: 409, body: tooMany } : { status: 200, body: {} }),
    async (url) => {
      const { api } = application({ user: 74, token: "token" }, undefined, url);
      await openSession(api, { device_name: "New" }, async (sessions) => sessions.map(({ id }) => id));
      assert.deepEqual(bodies[1], { device_name: "New", end: [session(74, "").id] });
    },
  );
});

test("a provider has to ask for the password again", () => {
  const url = signInUrl("https://login.example.com/authorize?x=1", { client_id: "panel" }, true);
  assert.equal(url, "https://login.example.com/authorize?x=1&client_id=panel&max_age=0");
});

test("an admin looks, is asked, gives a reason and ends one", async () => {
  const { session } = await signIn("308");
  await withDialog(admin(), 308, async ({ page, until, press }) => {
    await until(() => page.querySelector("li"));
    const dialog = page.querySelector("dialog")!;
    assert.ok(dialog.open && dialog.getAttribute("aria-labelledby") === page.querySelector("h2")!.id);
    await press(/^End: Phone, 127\.0\.0\.1, signed in /);
    assert.match(dialog.textContent!, /End 1 session of user 308\? These are signed out at once:Phone/);
    assert.equal(page.ownerDocument.activeElement?.textContent, "Cancel");
    page.querySelector("input")!.value = "lost phone";
    await press(/^End 1 session$/);
    await until(() => page.textContent!.includes("Phone is signed out."));
    assert.equal(page.ownerDocument.activeElement, page.querySelector("h2"), "the focus is in the dialog");
    await until(() => page.textContent!.includes("This user is not signed in anywhere."));
    await until(() => page.textContent!.includes("ended by an admin"));
  });
  const ended = await admin().admin.get(308, session.id);
  assert.ok(!ended.is_active && ended.end_note === "lost phone");
});

test("what began after the question is not ended", async () => {
  await signIn("309");
  await signIn("309");
  await withDialog(admin(), 309, async ({ page, until, press }) => {
    await until(() => page.querySelectorAll("li").length === 2);
    await press(/^End all$/);
    await until(() => page.textContent!.includes("End 2 sessions of user 309?"));
    await signIn("309", "Tablet");
    await press(/^End 2 sessions$/);
    await until(() => page.querySelectorAll("[aria-label='Signed in'] li").length === 1);
  });
  assert.deepEqual(await devicesOf(admin(), 309), ["Tablet"]);
});

test("an End that came too late shows the first receipt", async () => {
  const { session } = await signIn("310");
  await withDialog(admin(), 310, async ({ page, until, press }) => {
    await until(() => page.querySelector("li"));
    await press(/^End: /);
    await admin().admin.end(310, session.id, { reason: "stolen" });
    await press(/^End 1 session$/);
    await until(() => page.textContent!.includes("Phone had ended already: ended by an admin (stolen), "));
    assert.ok(page.textContent!.includes("Your reason is not stored."));
  });
});

test("a wrong id does not look like a user who is signed out", async () => {
  await withDialog(admin(), "grace", async ({ page, until }) => {
    await until(() => page.textContent!.includes("No session of a user with the ID grace is stored. Check the ID."));
    assert.ok(!page.textContent!.includes("signed in anywhere"));
  });
});

test("a failure is said in the application's own words, with the id to ask about", async () => {
  const { api } = application({ user: "311", token: token("311") });
  await withDialog(api, 74, async ({ page, until }) => {
    await until(() => page.querySelector("[role=alert]"));
    const text = page.querySelector("[role=alert]")!.textContent!;
    assert.match(text, /^Only admins can see and end other users' sessions\. \(.+\)$/);
  });
});

test("the dialog never shows or ends the sessions of the user before", async () => {
  let answer: (answer: Answer) => void = () => {};
  const asked: string[] = [];
  await withStub(
    ({ method, url }) => {
      const history = url!.includes("include_inactive");
      if (!history) asked.push(`${method} ${url}`);
      if (url!.startsWith("/sessions/user/500")) return { status: 200, body: [session(500, "Phone of 500")] };
      return history ? { status: 200, body: [] } : new Promise<Answer>((later) => (answer = later));
    },
    async (url) => {
      const { api } = application({ user: "1", token: "token" }, undefined, url);
      await withDialog(api, 500, async ({ page, until, show }) => {
        const buttons = () => page.querySelectorAll("li button").length;
        await until(() => buttons() === 1);
        await show(75);
        assert.ok(!page.textContent!.includes("Phone of 500") && buttons() === 0, "nothing of 500 while 75 is loaded");
        await until(() => asked.length === 2);
        answer({ status: 403, body: { code: "admin_only", detail: "Not yours" } });
        await until(() => page.querySelector("[role=alert]"));
        assert.ok(!page.textContent!.includes("Phone of 500") && buttons() === 0, "nor when 75 cannot be loaded");
        await show(76);
        assert.equal(page.querySelector("[role=alert]"), null, "what failed for 75 is not said of 76");
        await until(() => asked.length === 3);
        answer({ status: 200, body: [session(76, "Phone of 76")] });
        await until(() => page.textContent!.includes("Phone of 76"));
      });
    },
  );
  assert.ok(asked.every((request) => request.startsWith("GET ")), "nothing was ended");
});

test("an alert goes with the next try, and the focus stays", async () => {
  let broken = true;
  const body = { session: { ...session(77, "Phone"), is_active: false, end_reason: "revoked_by_admin", end_note: null, ended_at: "2026-11-02T10:00:00Z" } };
  await withStub(
    ({ method }) => {
      if (method === "GET") return { status: 200, body: [session(77, "Phone")] };
      return broken ? { status: 500, body: { code: "internal_error", detail: "?" } } : { status: 200, body: { success: true, ...body } };
    },
    async (url) => {
      const { api } = application({ user: "1", token: "token" }, undefined, url);
      await withDialog(api, 77, async ({ page, until, press }) => {
        await until(() => page.querySelector("li button"));
        await press(/^End: /);
        await press(/^End 1 session$/);
        await until(() => page.querySelector("[role=alert]"));
        assert.ok(page.querySelector("form")!.contains(page.ownerDocument.activeElement));
        broken = false;
        await press(/^End 1 session$/);
        await until(() => page.textContent!.includes("Phone is signed out."));
        assert.equal(page.querySelector("[role=alert]"), null);
      });
    },
  );
});

test("TanStack Query and the client do not multiply their tries", async () => {
  let live = 0;
  const later = { status: 503, headers: { "Retry-After": "0" }, body: { code: "store_unavailable", detail: "?" } };
  await withStub(
    ({ url }) => (url === "/sessions/user/78" ? (live++, later) : { status: 200, body: [] }),
    async (url) => {
      const { api } = application({ user: "1", token: "token" }, undefined, url);
      await withDialog(api, 78, async ({ page, until }) => {
        await until(() => page.querySelector("[role=alert]"));
        assert.equal(live, 4);
      });
    },
  );
});

const session = (user: number, device: string): Session => ({
  id: `01990000-0000-7000-8000-${String(user).padStart(12, "0")}`,
  user_id: user,
  device_name: device,
  device_type: "mobile",
  browser: "Safari",
  os: "iOS",
  ip_address: "203.0.113.9",
  location: null,
  signed_in_ip: "203.0.113.9",
  created_at: "2026-11-01T10:00:00Z",
  last_activity: "2026-11-01T10:00:00Z",
  expires_at: "2026-12-01T10:00:00Z",
  is_active: true,
});

/** What a stub answers. */
interface Answer {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

/** A service that answers as the test wants. */
async function withStub(
  answer: (request: IncomingMessage, body: string) => Answer | Promise<Answer>,
  story: (url: string) => Promise<void>,
) {
  const stub = createServer(async (request, response) => {
    let sent = "";
    for await (const part of request) sent += part;
    const { status, headers, body } = await answer(request, sent);
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
  });
  await new Promise<void>((listening) => stub.listen(0, "127.0.0.1", listening));
  try {
    await story(`http://127.0.0.1:${(stub.address() as AddressInfo).port}`);
  } finally {
    stub.closeAllConnections();
    stub.close();
  }
}

interface Story {
  page: Element;
  until(holds: () => unknown): Promise<void>;
  show(user: string | number): Promise<void>;
  /** Presses the button with this name. */
  press(name: RegExp): Promise<void>;
}

async function withDialog(api: SessionsClient, user: string | number, body: (story: Story) => Promise<void>) {
  const window = new Window();
  const { document } = window as unknown as { document: Document };
  Object.assign(globalThis, { window, document, IS_REACT_ACT_ENVIRONMENT: true });
  const page = document.createElement("div");
  document.body.append(page);
  const root = createRoot(page);
  const queries = new QueryClient();
  const story: Story = {
    page,
    async until(holds) {
      const deadline = Date.now() + 10_000;
      while (!holds()) {
        assert.ok(Date.now() < deadline, `the page shows: ${page.textContent}`);
        await act(async () => void (await new Promise(setImmediate)));
      }
    },
    show: (user) =>
      act(async () =>
        root.render(
          <QueryClientProvider client={queries}>
            <Sessions value={{ api, me: 1 }}>
              <SessionsDialog userId={user} onClose={() => {}} />
            </Sessions>
          </QueryClientProvider>,
        ),
      ),
    async press(name) {
      const names = () => [...page.querySelectorAll("button")].filter((one) => name.test(one.getAttribute("aria-label") ?? one.textContent!));
      await story.until(() => names().length === 1);
      await act(async () => names()[0]!.click());
    },
  };
  try {
    await story.show(user);
    await body(story);
  } finally {
    await act(async () => root.unmount());
    queries.clear();
    await window.happyDOM.close();
  }
}
