// An admin panel written against the old contract: it reads `id`, `device_type`, `browser`, `device_name`,
// `last_activity` and `ip_address` of a bare array, `detail` of an error and `success` of a DELETE, sends only
// `Authorization`, and renews its token on a 401, once. Its tokens hold `id`, `email` and `exp`; who is an admin stands
// in the table.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { API, installed, launch, signIn as signInWith } from "./support.mjs";

const axios = installed("axios");
const PHONE = installed("playwright-core").devices["Pixel 7"];
const SECRET = "local-development-secret-do-not-deploy-0000";
const EXPIRED = -60;

let issued = 0;

/** A token as the client's back end signs it, another one each time. */
function token(id, lifetime = 3600) {
  const exp = Math.floor(Date.now() / 1000) + lifetime + issued++;
  const part = (claims) => Buffer.from(JSON.stringify(claims)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ id: Number(id), email: `${id}@example.com`, exp })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

const signIn = (user, device) => signInWith(user, device, token(user));

/** The client. `refreshUrl` is where it gets a fresh token. */
function oldClient(firstToken, refreshUrl) {
  const state = { token: firstToken, signedIn: true };
  const http = axios.create({ baseURL: API });
  http.interceptors.request.use((config) => {
    config.headers.Authorization = `Bearer ${state.token}`;
    return config;
  });
  http.interceptors.response.use(undefined, async (error) => {
    const request = error.config;
    if (error.response?.status !== 401 || request.retried) throw error;
    request.retried = true;
    try {
      state.token = (await axios.post(refreshUrl)).data.token;
    } catch {
      state.signedIn = false;
      throw error;
    }
    return http(request);
  });
  const shown = (error) => ({ error: error.response.data.detail });
  const list = async (user) => {
    const { data } = await http.get(`/sessions/user/${user}`);
    return data.map((session) => ({
      id: session.id,
      icon: session.device_type === "mobile" ? "📱" : "💻",
      name: session.device_name,
      browser: session.browser,
      ip: session.ip_address,
      active: new Date(session.last_activity).getTime(),
    }));
  };
  const end = async (path) => ({ success: (await http.delete(path)).data.success });
  return {
    state,
    list: (user) => list(user).catch(shown),
    end: (user, id) => end(`/sessions/user/${user}/session/${id}`).catch(shown),
    endAll: (user) => end(`/sessions/user/${user}`).catch(shown),
  };
}

// Where the client gets fresh tokens: answers with `next`, or 401 when there is none, and counts.
const stub = { next: null, asked: 0 };
const server = createServer((_, response) => {
  stub.asked += 1;
  response.writeHead(stub.next ? 200 : 401, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ token: stub.next }));
});
before(() => new Promise((done) => server.listen(0, "127.0.0.1", done)));
after(() => new Promise((done) => server.close(done)));

function client(firstToken, freshToken = null) {
  Object.assign(stub, { next: freshToken, asked: 0 });
  return oldClient(firstToken, `http://127.0.0.1:${server.address().port}/refresh`);
}

test("lists, ends one and ends all", async () => {
  for (const device of ["windows", "iphone", "linux"]) await signIn("90", device);
  const admin = client(token("1"));
  const devices = await admin.list("90");
  assert.deepEqual(
    devices.map(({ icon, name, browser }) => [icon, name, browser]),
    [
      ["💻", "Firefox on Linux", "Firefox"],
      ["📱", "Safari on iPhone", "Safari"],
      ["💻", "Chrome on Windows 10", "Chrome"],
    ],
  );
  assert.ok(devices.every(({ ip }) => ip === "127.0.0.1"), "an address is shown");
  assert.ok(devices.every(({ active }) => Math.abs(Date.now() - active) < 60_000), "the time can be read");
  assert.deepEqual(await admin.end("90", devices[1].id), { success: true });
  assert.deepEqual(await admin.end("90", devices[1].id), { success: true }, "a double click does no harm");
  assert.equal((await admin.list("90")).length, 2);
  assert.deepEqual(await admin.endAll("90"), { success: true });
  assert.deepEqual(await admin.list("90"), []);
  assert.equal(stub.asked, 0);
});

test("an expired token is renewed once and the request repeated", async () => {
  const admin = client(token("1", EXPIRED), token("1"));
  assert.deepEqual(await admin.list("91"), []);
  assert.equal(stub.asked, 1);
  assert.deepEqual(await admin.list("91"), []);
  assert.equal(stub.asked, 1, "the new token is kept");
  assert.ok(admin.state.signedIn);
});

test("an ending asked for with an expired token happens after the renewal", async () => {
  const { id } = await signIn("92", "iphone");
  const admin = client(token("1", EXPIRED), token("1"));
  assert.deepEqual(await admin.end("92", id), { success: true });
  assert.deepEqual(await admin.list("92"), []);
});

test("without a fresh token the admin is signed out", async () => {
  const admin = client(token("1", EXPIRED));
  assert.deepEqual(await admin.list("74"), { error: "The token has expired" });
  assert.equal(stub.asked, 1);
  assert.ok(!admin.state.signedIn);
});

test("a fresh token that is refused too is not renewed again and again", async () => {
  const expired = token("1", EXPIRED);
  const admin = client(expired, expired);
  assert.deepEqual(await admin.list("74"), { error: "The token has expired" });
  assert.equal(stub.asked, 1);
});

test("a refusal shows its detail and signs nobody out", async () => {
  const user = client(token("75"), token("75"));
  assert.deepEqual(await user.list("74"), { error: "Only admins can view other users' sessions" });
  assert.deepEqual(await user.endAll("74"), { error: "Only admins can end other users' sessions" });
  assert.deepEqual(await client(token("1")).list("1"), {
    error: "Use /my-sessions endpoint for your own sessions",
  });
  assert.ok(user.state.signedIn);
  assert.equal(stub.asked, 0, "a 403 asks for no fresh token");
});

/** What the client's sign-in page does in a browser: its fingerprint is the beginning of a picture that it draws. */
async function signInPage({ api, bearer }) {
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillText(navigator.userAgent, 2, 12);
  const fingerprint = btoa(canvas.toDataURL()).slice(0, 32);
  const body = JSON.stringify({ device_fingerprint: fingerprint, device_name: navigator.userAgent });
  const create = () => {
    const headers = { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" };
    return fetch(`${api}/sessions/create`, { method: "POST", headers, body });
  };
  let response = await create();
  if (response.status === 401) {
    bearer = (await (await fetch("/refresh", { method: "POST" })).json()).token;
    response = await create();
  }
  return { fingerprint, bearer, status: response.status, session: await response.json() };
}

/** Opens the sign-in page in a browser of its own; what comes back signs in with the given token. */
async function signInFrom(chromium, device) {
  const page = await (await chromium.newContext(device)).newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  return (bearer) => page.evaluate(signInPage, { api: API, bearer });
}

test("two browsers of one user are two devices, although their fingerprint is the same", async () => {
  const admin = client(token("1"));
  const devices = async () => (await admin.list("93")).map(({ icon, name }) => `${icon} ${name}`);
  const chromium = await launch();
  try {
    const laptop = await signInFrom(chromium);
    const phone = await signInFrom(chromium, PHONE);
    const first = [await laptop(token("93")), await phone(token("93"))];
    const useless = "ZGF0YTppbWFnZS9wbmc7YmFzZTY0LGlW";
    assert.deepEqual(first.map(({ fingerprint }) => fingerprint), [useless, useless], "both draw the same beginning");
    assert.deepEqual(first.map(({ status }) => status), [201, 201]);
    const both = ["📱 Chromium on Android", "💻 Headless Chrome on Linux"];
    assert.deepEqual(await devices(), both);

    assert.deepEqual(await admin.end("93", first[1].session.id), { success: true });
    assert.deepEqual(await devices(), both.slice(1));
    const current = ({ bearer }) => fetch(`${API}/sessions/current`, { headers: { Authorization: `Bearer ${bearer}` } });
    const answers = await Promise.all(first.map(current));
    assert.deepEqual(answers.map(({ status }) => status), [200, 401], "the phone is out, the laptop is not");

    stub.next = token("93");
    const again = await laptop(token("93", EXPIRED));
    assert.equal(again.status, 201, "no fingerprint says that the new token is of a known device");
    assert.deepEqual(await devices(), [both[1], both[1]]);
  } finally {
    await chromium.close();
  }
});
