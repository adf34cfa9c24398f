// The panel's whole story in Chromium. Fails on any error in the console that a step does not expect, and leaves a
// picture of each state in target/browser/pictures.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { API, PANEL, installed, launch, signIn, token } from "./support.mjs";

const AXE = readFileSync(installed.resolve("axe-core/axe.min.js"), "utf8");
const PICTURES = "target/browser/pictures";
const WIDE = { width: 1120, height: 760 };
const NARROW = { width: 360, height: 780 };
/** The last activity of user 74 as the story goes on. */
const MINUTES_AGO = /^2\d minutes ago$/;
/** The most sessions a user has on this stack: more than the panel asks for at a time. */
const CAP = 25;
mkdirSync(PICTURES, { recursive: true });

const browser = await launch();
const context = await browser.newContext({ viewport: WIDE, timezoneId: "UTC", locale: "en-GB", reducedMotion: "reduce", deviceScaleFactor: 1.5 });
const page = await context.newPage();
page.setDefaultTimeout(10_000);

/** What went wrong in the page since the last step. */
const errors = [];
page.on("pageerror", (error) => errors.push(`page error: ${error.message}`));
page.on("console", (message) => {
  // The events below say it too, and when a request has ended there is no more to wait for.
  if (message.text().startsWith("Failed to load resource:")) return;
  if (["error", "warning"].includes(message.type())) errors.push(message.text());
});

/** The requests that have no answer yet. */
const waiting = new Set();
page.on("request", (request) => {
  waiting.add(request);
  const known = [API, PANEL, "data:"].some((start) => request.url().startsWith(start));
  if (!known) errors.push(`a request to another host: ${request.url()}`);
});
page.on("response", (response) => {
  if (response.status() >= 400) errors.push(`${response.status()} ${response.url()}`);
});
page.on("requestfinished", (request) => waiting.delete(request));
page.on("requestfailed", (request) => {
  waiting.delete(request);
  const { errorText } = request.failure();
  // The page itself gives up what it no longer needs.
  if (errorText !== "net::ERR_ABORTED") errors.push(`${errorText} ${request.url()}`);
});

/** A part of the story; `failures` is what may happen to its requests, and must happen to one of them. */
async function step(name, work, failures = null) {
  try {
    await work();
    // Otherwise a late refusal would be blamed on the next step.
    await until(() => waiting.size === 0);
    if (failures) assert.ok(errors.some((error) => failures.test(error)), `no request failed with ${failures}`);
    assert.deepEqual(errors.splice(0).filter((error) => !failures?.test(error)), []);
  } catch (error) {
    await page.screenshot({ path: `${PICTURES}/failed.png` }).catch(() => {});
    throw new Error(`${name}: ${error.message}`, { cause: error });
  }
  console.log(`ok - ${name}`);
}

const refused = (status) => new RegExp(`^(${status}) `);
const UNREACHABLE = /^net::ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED) /;

const picture = (name, options) => page.screenshot({ path: `${PICTURES}/${name}.png`, ...options });
const text = (selector) => page.locator(selector).innerText();
const see = (what, scope = page) => scope.getByText(what).filter({ visible: true }).first().waitFor();
const press = (name) => page.getByRole("button", { name, exact: true }).click();
const devices = () => page.locator("#content li.row");
const found = () => page.locator("#content li.found");
const history = () => page.locator("#history li.row");
const focused = (selector) => page.locator(`${selector}:focus`).waitFor();

async function until(holds) {
  for (let left = 200; left > 0; left -= 1) {
    if (await holds()) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`never came true: ${holds}`);
}

const rows = (locator, count) => until(async () => (await locator.count()) === count);

/** The same state in light and dark colours, on a wide and a narrow screen. All of it must be accessible. */
async function pictures(name) {
  for (const [size, viewport] of [["wide", WIDE], ["narrow", NARROW]]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme });
      await picture(`${name}-${size}-${colorScheme}`, { fullPage: true });
      await accessible();
    }
  }
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${name}: ${overflow} pixels too wide for a phone`);
  await page.setViewportSize(WIDE);
}

/** What axe finds wrong: labels, roles, contrast, regions that scroll. */
async function accessible() {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => (await window.axe.run()).violations);
  const told = found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(", ")}`);
  assert.deepEqual(told, [], "accessible");
}

/** Answers the next request to the service in its place. */
function answerOnce(status, json) {
  const headers = { "access-control-allow-origin": "*" };
  return page.route(`${API}/**`, (route) => route.fulfill({ status, json, headers }), { times: 1 });
}

/** A late answer for a closed dialog does not appear in the next dialog. */
async function lateAnswer() {
  let go;
  const wait = new Promise((done) => (go = done));
  await page.route("**/*dry_run=true", async (route) => (await wait, route.continue()));
  await press("End all");
  await see("Looking up what will end…");
  await press("Cancel");
  await page.getByRole("button", { name: /^End: Firefox/ }).click();
  go();
  await until(() => waiting.size === 0);
  await page.unroute("**/*dry_run=true");
  // Waits one turn of the event loop, so that the page has handled the answer.
  await page.evaluate(() => new Promise((done) => setTimeout(done)));
  assert.equal(await text("#dialog-title"), "End the session of user 74 on Firefox on Linux?");
  assert.equal(await page.locator("#dialog-list li").count(), 1);
  await press("Cancel");
}

async function pasteToken(given) {
  const leave = page.locator("#leave");
  // The page shows one of the two as soon as it is ready.
  await leave.or(page.locator("#token")).filter({ visible: true }).waitFor();
  if (await leave.isVisible()) await press("Change token");
  await page.getByLabel("Paste a token").fill(given);
  await press("Sign in");
}

/** Signs in and waits for the page that comes next; until then the fields of the one before are still there. */
async function signInWith(given) {
  await pasteToken(given);
  await page.locator("#leave").waitFor();
}

/** Looks a user up on the users page; the page that is open must be ready. */
async function showUser(user) {
  const field = page.getByLabel("User ID");
  if (!(await field.isVisible())) {
    await page.getByRole("link", { name: "Users" }).click();
    await focused("#user");
  }
  await field.fill(user);
  await press("Show sessions");
  await page.getByRole("heading", { name: `User ${user}` }).waitFor();
}

const admin = token("1", "--role", "admin");

// Users to mark, beside those of the demo.
await page.route(`${PANEL}/demo.json`, async (route) => {
  const response = await route.fetch();
  const demo = await response.json();
  await route.fulfill({ response, json: { ...demo, users: [...demo.users, "83", "84", "heidi"] } });
});

const sessionsOf = async (user) =>
  (await fetch(`${API}/sessions/user/${user}`, { headers: { Authorization: `Bearer ${admin}` } })).json();
const liveOf = async (user) => (await sessionsOf(user)).length;

try {
  await step("the panel's server gives out five files and nothing else", async () => {
    for (const [path, type] of [["/", "text/html"], ["/panel.css", "text/css"], ["/panel.js", "text/javascript"], ["/signed-in.js", "text/javascript"], ["/demo.json", "application/json"]]) {
      const response = await fetch(PANEL + path);
      assert.equal(response.status, 200, path);
      assert.equal(response.headers.get("content-type"), `${type}; charset=utf-8`);
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.match(response.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'; style-src 'self'; /);
      assert.ok(response.headers.get("content-security-policy").includes(`connect-src 'self' ${API};`));
    }
    for (const path of ["/panel.rs", "/../Cargo.toml", "/favicon.ico"]) assert.equal((await fetch(PANEL + path)).status, 404, path);
    assert.equal((await fetch(PANEL, { method: "POST" })).status, 404);
  });

  await step("pages of other origins may do what they may where it is deployed", async () => {
    const preflight = (origin) =>
      fetch(`${API}/sessions/user/74`, { method: "OPTIONS", headers: { Origin: origin, "Access-Control-Request-Method": "DELETE" } });
    const local = await preflight("http://localhost:5173");
    assert.equal(local.headers.get("access-control-allow-headers"), "authorization,content-type,x-session-id");
    assert.equal(local.headers.get("access-control-allow-credentials"), null);
    assert.equal((await preflight("https://elsewhere.example")).headers.get("access-control-allow-origin"), null);
    const answer = await fetch(`${API}/sessions/user/74`, { headers: { Origin: PANEL } });
    assert.equal(answer.headers.get("access-control-expose-headers"), "link,retry-after,www-authenticate");
  });

  await step("signing in says what a token is", async () => {
    await page.goto(PANEL);
    await page.getByRole("button", { name: "User 1, the admin" }).waitFor();
    await pictures("sign-in");
    await press("Sign in");
    await see("Paste a token first");
    await pasteToken("<b>no token</b>");
    await see("This is no token");
    await focused("#token");
  });

  await step("an admin picks a user and sees every device", async () => {
    await page.getByRole("button", { name: "User 1, the admin" }).click();
    await focused("#user");
    await see("5 users; mark some to end their sessions");
    const row = page.getByRole("row", { name: "User 74" });
    const [mark, count, last] = await row.getByRole("cell").allInnerTexts();
    assert.deepEqual([mark, count], ["", "3"]);
    assert.match(last, MINUTES_AGO);
    assert.equal(await page.getByRole("row", { name: "User heidi" }).locator(".active").innerText(), "unknown ID");
    await pictures("users");
    await page.getByRole("link", { name: "User 74" }).click();
    await rows(devices(), 3);
    assert.equal(await text("#who-name"), "User 1, admin");
    assert.equal(await text("#summary"), "3 devices signed in");
    const phone = devices().nth(1);
    for (const part of ["Safari on iPhone", "5 hours ago", "198.51.100.21", "Tashkent, Uzbekistan", "in 30 days"]) await see(part, phone);
    assert.equal(await phone.locator(".what").innerText(), "iOS", "what the name says is not said again");
    await phone.getByRole("img", { name: "Phone" }).waitFor();
    await devices().first().getByRole("img", { name: "Computer" }).waitFor();
    assert.ok(!(await devices().last().locator(".what").isVisible()), "Chrome on Windows 10 says it all");
    await rows(history(), 1);
    for (const part of ["Ended by you as admin", "“Laptop reported lost”", "6 days ago"]) await see(part, history());
    await see("Ended sessions, the newest sign-in first");
    await pictures("user");
  });

  await step("a button shows all times to the second", async () => {
    const last = devices().first().locator(".last");
    const exact = /^\d+ \w+ \d{4}, \d\d:\d\d:\d\d UTC$/;
    assert.match(await last.getAttribute("title"), exact);
    assert.match(await last.innerText(), MINUTES_AGO);
    await page.getByRole("button", { name: "Exact times", pressed: false }).press("Enter");
    await page.getByRole("button", { name: "Exact times", pressed: true }).waitFor();
    assert.match(await last.innerText(), exact);
    await pictures("exact-times");
    await press("Exact times");
    assert.match(await last.innerText(), MINUTES_AGO);
  });

  await step("a reload stays where it was, and an empty list says so", async () => {
    await page.reload();
    await rows(devices(), 3);
    await showUser("75");
    await see("User 75 is known, but no session of theirs is stored.");
    await picture("empty");
    await page.goBack();
    await rows(devices(), 3);
  });

  await step("while the service thinks, the page says so", async () => {
    let go;
    const wait = new Promise((done) => (go = done));
    await page.route(`${API}/**`, async (route) => (await wait, route.continue()));
    await showUser("74");
    await see("Loading the devices…");
    assert.equal(await page.locator("#content").getAttribute("aria-busy"), "true");
    await picture("loading");
    await press("Refresh");
    go();
    await rows(devices(), 3);
    await see("3 devices signed in");
    await until(() => waiting.size === 0);
    await page.unroute(`${API}/**`);
  });

  await step("too many requests are tried again, later", async () => {
    await answerOnce(429, { message: "Too Many Requests" });
    await Promise.all([see("There are too many requests at the moment. Trying again in 1 s…"), press("Refresh")]);
    await rows(devices(), 3);
    await rows(history(), 1);
    await until(async () => (await page.locator(".busy:visible").count()) === 0);
  }, refused(429));

  await step("holding Enter ends nothing", async () => {
    const end = page.getByRole("button", { name: /^End: Safari on iPhone/ });
    await end.focus();
    // Every one after the first is a repeat of the key that is held; two of them would close and open the question.
    for (let count = 0; count < 6; count += 1) await page.keyboard.down("Enter");
    await page.keyboard.up("Enter");
    await focused("#cancel");
    assert.ok(await page.locator("#dialog").isVisible(), "the question stays");
    await page.keyboard.press("Enter");
    await until(async () => !(await page.locator("#dialog").isVisible()));
    assert.equal(await liveOf("74"), 3);
  });

  await step("ends one with the keyboard", async () => {
    const end = '[aria-label^="End: Safari on iPhone, 198.51.100.21, signed in "]';
    await page.locator(end).focus();
    await page.keyboard.press("Enter");
    await focused("#cancel");
    assert.equal(await text("#dialog-title"), "End the session of user 74 on Safari on iPhone?");
    assert.match(await text("#dialog-list"), /^Safari on iPhone\s+198\.51\.100\.21, signed in 5 hours ago, active 5 hours ago$/);
    await page.keyboard.press("Escape");
    await focused(end);
    assert.equal(await liveOf("74"), 3, "nothing has ended");
    await page.keyboard.press("Enter");
    await focused("#cancel");
    await page.keyboard.press("Shift+Tab");
    await focused("#reason");
    await page.keyboard.type("lost phone");
    await pictures("end-one");
    await page.keyboard.press("Enter");
    await see("Safari on iPhone is signed out.");
    await focused("#view-title");
    await rows(devices(), 2);
    await rows(history(), 2);
    const latest = history().filter({ hasText: "Safari on iPhone" });
    for (const part of ["Ended by you as admin", "“lost phone”", "just now"]) await see(part, latest);
    await picture("ended-one");
  });

  await step("a wrong ID does not look like a signed-out user", async () => {
    await showUser("grace");
    await see("No user with the ID grace is known here, and no session is stored. Check the ID.", page.locator("#content"));
    assert.doesNotMatch(await text("#view"), /signed in|signed out|has ended/);
    await accessible();
    await showUser("74");
    await rows(devices(), 2);
  });

  await step("a session that had ended already shows its receipt, and that the reason is not stored", async () => {
    const { id } = await signIn("86", "iphone");
    await showUser("86");
    await page.getByRole("button", { name: /^End: Safari/ }).click();
    const other = token("2", "--role", "admin");
    const first = `${API}/sessions/user/86/session/${id}?reason=stolen`;
    await fetch(first, { method: "DELETE", headers: { Authorization: `Bearer ${other}` } });
    await page.getByLabel("Reason").fill("tidying up");
    await press("End session");
    await see("Safari on iPhone had ended already: Ended by user 2 as admin (“stolen”), just now.");
    await see("The reason that you gave is not stored.");
    await see("User 86 is not signed in anywhere.");
    await rows(history(), 1);
  });

  await step("more than what was confirmed is not ended without another question", async () => {
    for (const device of ["iphone", "linux"]) await signIn("87", device);
    await showUser("87");
    await rows(devices(), 2);
    await press("End all");
    await page.getByRole("heading", { name: "End 2 sessions of user 87?" }).waitFor();
    await signIn("87", "windows");
    await press("End 2 sessions");
    await page.getByRole("heading", { name: "End 3 sessions of user 87?" }).waitFor();
    await see("1 session has begun since you looked.", page.locator("#dialog"));
    await focused("#cancel");
    assert.equal(await liveOf("87"), 3, "nothing has ended");
    await press("End 3 sessions");
    await see("3 sessions ended: ");
    assert.equal(await liveOf("87"), 0);
  });

  await step("sessions that look alike have names of their own", async () => {
    for (let count = 0; count < 2; count += 1) {
      const second = Math.floor(Date.now() / 1000);
      await signIn("88", "iphone");
      await until(() => Math.floor(Date.now() / 1000) > second);
    }
    await showUser("88");
    await rows(devices(), 2);
    const names = await devices().getByRole("button").evaluateAll((all) => all.map((button) => button.ariaLabel));
    assert.match(names[0], /^End: Safari on iPhone, 127\.0\.0\.1, signed in \d+ \w+ \d{4}, \d\d:\d\d/);
    assert.notEqual(names[0], names[1]);
  });

  await step("the address of the sign-in is shown where it was another one, and icons tell devices apart", async () => {
    const devicesOf89 = [
      { device_name: "Safari on iPad", device_type: "mobile", os: "iPadOS", kind: "Tablet" },
      { device_name: "Netflix on Samsung TV", device_type: "web", os: "Tizen", kind: "Television" },
      { device_name: "PostmanRuntime", device_type: "web", os: "Unknown", kind: "App" },
    ];
    const fields = { browser: "Some", user_id: 89, is_active: true, ip_address: "192.0.2.7", signed_in_ip: "198.51.100.3" };
    const times = { created_at: "2026-11-01T10:00:00Z", last_activity: "2026-11-02T10:00:00Z", expires_at: "2099-01-01T00:00:00Z" };
    const json = devicesOf89.map((device, at) => ({ id: `0199000${at}-0000-7000-8000-000000000089`, ...fields, ...times, ...device }));
    const fake = (route) => route.fulfill({ json, headers: { "access-control-allow-origin": "*" } });
    await page.route(`${API}/sessions/user/89*`, fake);
    await showUser("89");
    await rows(devices(), 3);
    for (const [at, { kind }] of devicesOf89.entries()) await devices().nth(at).getByRole("img", { name: kind }).waitFor();
    await see("signed in from 198.51.100.3", devices().first());
    await pictures("kinds");
    await devices().first().getByRole("button").click();
    await see("192.0.2.7, signed in from 198.51.100.3", page.locator("#dialog-list"));
    await press("Cancel");
    await page.unroute(`${API}/sessions/user/89*`, fake);
  });

  await step("an admin finds the sessions of everybody, and a filter is in the address", async () => {
    for (const user of ["90", "91", "92"]) await signIn(user, "iphone");
    await page.getByRole("link", { name: "Signed in" }).click();
    await see("Mark all that are shown");
    await page.getByLabel("Browser").fill("SAFARI");
    await page.getByLabel("Signed in within").selectOption("1h");
    await page.getByLabel("Browser").press("Enter");
    await until(() => page.url().endsWith("#/signed-in?browser=SAFARI&signed_in_within=1h"));
    await until(async () => (await found().count()) > 2 && (await found().filter({ hasNotText: "Safari" }).count()) === 0);
    const newest = await found().first().locator(".user").innerText();
    assert.equal(newest, "User 92", "newest first");
    await page.reload();
    await see("Safari on iPhone", found());
    assert.equal(await page.getByLabel("Browser").inputValue(), "SAFARI");
    await pictures("signed-in");
    await page.getByLabel("Browser").fill("none such");
    await press("Search");
    await see("No session matches these filters.");
    await press("Clear");
    await see("Mark all that are shown");
    assert.ok(page.url().endsWith("#/signed-in"));
    const own = found().filter({ hasText: "User 1" }).filter({ hasText: "Yours" });
    assert.ok(await own.first().getByRole("checkbox").isDisabled(), "one's own sessions end under My devices");
  });

  await step("a wrong filter is explained", async () => {
    await page.getByLabel("Address or network").fill("203.0.113");
    await press("Search");
    await see("ip_address must be an address such as 203.0.113.7");
    await press("Clear");
    await see("Mark all that are shown");
  }, refused(400));

  await step("several marked sessions end with one reason, and each says its result", async () => {
    const of = (user) => found().filter({ hasText: `User ${user}` });
    for (const user of ["90", "91", "92"]) await of(user).getByRole("checkbox").check();
    await see(/^3 of \d+ sessions marked$/);
    const [{ id }] = await sessionsOf("91");
    await fetch(`${API}/sessions/user/91/session/${id}?reason=stolen`, {
      method: "DELETE", headers: { Authorization: `Bearer ${token("2", "--role", "admin")}` },
    });
    await press("End 3 sessions");
    await page.getByRole("heading", { name: "End 2 sessions of 2 users?" }).waitFor();
    await see("Had ended already: Ended by user 2 as admin", page.locator("#dialog-list"));
    await page.getByLabel("Reason").fill("leaked network");
    await pictures("signed-in-end");
    await press("End 2 sessions");
    await see("2 sessions ended. 1 had ended already.");
    await see("Ended by you as admin (“leaked network”), just now", of("90"));
    await see("Had ended already: Ended by user 2 as admin (“stolen”), just now", of("91"));
    assert.ok(await of("92").getByRole("checkbox").isDisabled());
    for (const user of ["90", "91", "92"]) assert.equal(await liveOf(user), 0);
    await pictures("signed-in-ended");
  });

  await step("many empty pages are followed, can be stopped, and go on", async () => {
    const page_ = { id: "01990000-0000-7000-8000-000000000093", user_id: 93, device_name: "Rare", device_type: "web", browser: "Rare", os: "Linux",
      ip_address: "192.0.2.93", signed_in_ip: "192.0.2.93", location: null, created_at: "2026-01-01T00:00:00Z", last_activity: "2026-01-01T00:00:00Z",
      expires_at: "2099-01-01T00:00:00Z", is_active: true };
    let left = 30;
    const fake = (route) => {
      const link = `</sessions?limit=50&cursor=x>; rel="next"; since="2026-0${1 + (left % 9)}-01T00:00:00.000Z"`;
      const headers = { "access-control-allow-origin": "*", "access-control-expose-headers": "link", ...(left ? { link } : {}) };
      const json = left ? [] : [page_];
      left = Math.max(0, left - 1);
      return new Promise((done) => setTimeout(() => done(route.fulfill({ json, headers })), 50));
    };
    await page.route(`${API}/sessions?*`, fake);
    await press("Refresh");
    await see(/^Searching… 0 found; all who signed in since .* are looked at$/);
    await press("Stop");
    await see("Nothing is found yet.");
    assert.ok(left > 0, "stopped on the way");
    await press("Load more");
    await see("Rare", found());
    await until(async () => !(await page.locator("#load-more").isVisible()));
    await page.unroute(`${API}/sessions?*`, fake);
  });

  await step("an address leads to everybody who was seen there", async () => {
    await showUser("74");
    await devices().first().locator(".ip a").click();
    await until(() => page.url().includes("#/signed-in?ip_address="));
    await see("User 74", found());
  });

  await step("ends all, after saying which", async () => {
    await showUser("74");
    await rows(devices(), 2);
    await press("End all");
    await page.getByRole("heading", { name: "End 2 sessions of user 74?" }).waitFor();
    assert.equal(await page.locator("#dialog-list li").count(), 2);
    await see("Firefox on Linux", page.locator("#dialog-list"));
    await see("Chrome on Windows 10", page.locator("#dialog-list"));
    await pictures("end-all");
    await press("Cancel");
    assert.equal(await liveOf("74"), 2, "looking is not ending");
    await lateAnswer();
    await press("End all");
    await page.getByLabel("Reason").fill("<img src=x onerror=alert(1)> left the company");
    await press("End 2 sessions");
    await see("2 sessions ended: Firefox on Linux, Chrome on Windows 10.");
    await see("User 74 is not signed in anywhere.");
    await rows(history(), 4);
    await see("“<img src=x onerror=alert(1)> left the company”", history().first());
    await accessible();
    await picture("ended-all");
  });

  await step("a demo user whose sessions have ended is out, and signs in again with a fresh token", async () => {
    const signInAs74 = async () => {
      // A token of the second of an ending is refused.
      const second = Math.floor(Date.now() / 1000);
      await until(() => Math.floor(Date.now() / 1000) > second);
      await page.getByRole("button", { name: /^User 74/ }).click();
      await see("This device", devices());
      await rows(devices(), 1);
      await see(/^[\w ]+ on Linux$/, devices());
      return page.evaluate(() => sessionStorage.getItem("token"));
    };
    await press("Change token");
    const first = await signInAs74();
    await fetch(`${API}/sessions/user/74`, { method: "DELETE", headers: { Authorization: `Bearer ${admin}` } });
    await press("Refresh");
    await see("Session has ended", page.locator("#sign-in-problem"));
    assert.notEqual(await signInAs74(), first);
    await signInWith(admin);
  }, refused(401));

  await step("a failure in a question says under which id the log knows it", async () => {
    await signIn("81", "iphone");
    await showUser("81");
    await page.getByRole("button", { name: /^End: Safari/ }).click();
    await answerOnce(503, { detail: "The store is not available", code: "store_unavailable", request_id: "r-17" });
    await press("End session");
    await see("The store is not available", page.locator("#dialog"));
    await see("Reference r-17", page.locator("#dialog"));
    await pictures("failed-in-dialog");
    await answerOnce(429, { message: "Too Many Requests" });
    await Promise.all([see("Trying again in 1 s…", page.locator("#dialog")), press("End session")]);
    await see("Safari on iPhone is signed out.");
  }, refused("503|429"));

  await step("the button that confirms is whole when letters are twice as large", async () => {
    await signIn("82", "iphone");
    await showUser("82");
    await page.setViewportSize({ width: 320, height: 480 });
    await page.evaluate(() => (document.documentElement.style.fontSize = "32px"));
    await page.getByRole("button", { name: /^End: Safari/ }).click();
    await page.locator("#confirm").scrollIntoViewIfNeeded();
    const [button, dialog] = [await page.locator("#confirm").boundingBox(), await page.locator("#dialog").boundingBox()];
    assert.ok(button.x >= dialog.x && button.x + button.width <= dialog.x + dialog.width, "it is as wide as the dialog at most");
    assert.ok(button.y >= 0 && button.y + button.height <= 480, "it is on the screen");
    assert.ok(await page.locator("#confirm").evaluate((node) => node.scrollWidth <= node.clientWidth), "its words are whole");
    assert.ok(await page.locator("#dialog").evaluate((node) => node.scrollWidth <= node.clientWidth), "nothing is cut off");
    await picture("large-letters");
    await press("End session");
    await see("Safari on iPhone is signed out.");
    await page.evaluate(() => (document.documentElement.style.fontSize = ""));
    await page.setViewportSize(WIDE);
  });

  await step("with forced colours, borders tell what colours told", async () => {
    await page.emulateMedia({ forcedColors: "active" });
    const border = (selector) => page.locator(selector).evaluate((node) => getComputedStyle(node).borderBottomColor);
    assert.notEqual(await border("#to-users"), await border("#to-mine"), "the page that is open");
    const before = await border("#exact");
    await press("Exact times");
    assert.notEqual(await border("#exact"), before, "the button that is pressed");
    await picture("forced-colours");
    await press("Exact times");
    await page.emulateMedia({ forcedColors: "none" });
  });

  await step("dates are written as the browser's user writes them", async () => {
    const german = await (await browser.newContext({ locale: "de-DE", timezoneId: "UTC" })).newPage();
    await german.goto(PANEL);
    await german.getByRole("button", { name: /^User 75/ }).click();
    await german.locator("#content li.row").waitFor();
    assert.match(await german.locator("#content .since").innerText(), /^\d\d\.\d\d\.\d{4}, \d\d:\d\d$/);
    await german.context().close();
    await fetch(`${API}/sessions/user/75`, { method: "DELETE", headers: { Authorization: `Bearer ${admin}` } });
  });

  await step("a name that a client chose stays within its place", async () => {
    const names = [`שלום ${"longname".repeat(11)}`, "x".repeat(100)];
    for (const name of names) await signIn("82", name);
    await showUser("82");
    await rows(devices(), 2);
    await see(names[0], devices().last().locator("bdi"));
    await pictures("long-names");
    await devices().last().getByRole("button").click();
    await see(names[0], page.locator("#dialog-title bdi"));
    await see(names[0], page.locator("#dialog-list bdi"));
    await pictures("long-name-dialog");
    await press("End session");
    await see(names[0], page.locator("#notice bdi"));
    await see(names[0], history().locator("bdi"));
  });

  await step("an admin marks several users and ends the sessions of all of them", async () => {
    for (const user of ["83", "83", "84"]) await signIn(user, "iphone");
    await page.getByRole("link", { name: "Users" }).click();
    await focused("#user");
    await see("5 users; mark some to end their sessions");
    assert.ok(!(await page.locator("#end-all").isVisible()), "nobody is marked");
    await page.getByLabel("Mark all users").check();
    await see("5 of 5 users marked");
    for (const user of ["74", "heidi"]) await page.getByLabel(`Mark user ${user}`).uncheck();
    assert.ok(await page.getByLabel("Mark all users").evaluate((box) => box.indeterminate));
    await pictures("users-marked");
    await press("End sessions of 3 users");
    await page.getByRole("heading", { name: "End 3 sessions of 3 users?" }).waitFor();
    await focused("#cancel");
    const items = page.locator("#dialog-list li");
    assert.deepEqual(await items.allInnerTexts(), ["User 75\nno session", "User 83\n2 sessions", "User 84\n1 session"]);
    await pictures("end-users");
    assert.deepEqual([await liveOf("83"), await liveOf("84")], [2, 1], "looking is not ending");
    await page.getByLabel("Reason").fill("Phishing");
    const detail = "The store is not available";
    await fetch(`${API}/sessions/user/83`, { method: "DELETE", headers: { Authorization: `Bearer ${admin}` } });
    const ended = [{ user_id: 75, revoked: 0 }, { user_id: 83, revoked: 2 }];
    // Not the look that goes before: it is answered as it is.
    await page.route(
      `${API}/sessions/end`,
      (route) => {
        if (route.request().postDataJSON().dry_run) return route.fallback();
        const json = { detail, code: "store_unavailable", request_id: "r-18", ended, remaining: [84] };
        return route.fulfill({ status: 503, json, headers: { "access-control-allow-origin": "*" } });
      },
      { times: 2 },
    );
    await press("End 3 sessions");
    await see(`${detail} (2 users signed out, 1 user left)`, page.locator("#dialog"));
    await see("Reference r-18", page.locator("#dialog"));
    await until(async () => (await items.allInnerTexts()).join() === "User 84");
    await pictures("end-users-again");
    const again = page.waitForRequest((request) => /\/sessions\/end$/.test(request.url()) && !request.postDataJSON().dry_run);
    await press("Try again");
    assert.deepEqual((await again).postDataJSON(), { user_ids: ["84"], reason: "Phishing" });
    await see("3 sessions of 3 users ended.");
    await until(async () => (await page.getByRole("row", { name: "User 84" }).locator(".active").innerText()) === "0");
    assert.deepEqual([await liveOf("83"), await liveOf("84")], [0, 0]);
    await page.getByRole("link", { name: "User 84" }).click();
    await see("“Phishing”", history());
  }, refused(503));

  await step("a refresh keeps the marks, and the lists are fresh when somebody comes back to the page", async () => {
    await page.getByRole("link", { name: "Users" }).click();
    await page.getByLabel("Mark user 83").check();
    let go;
    const wait = new Promise((done) => (go = done));
    const hold = async (route) => (await wait, route.continue());
    await page.route(`${API}/**`, hold);
    await press("Refresh");
    await see("Refreshing…");
    assert.ok(await page.getByLabel("Mark user 83").isChecked(), "the page is not blank meanwhile");
    go();
    await see("1 of 5 users marked");
    await page.unroute(`${API}/**`, hold);
    await signIn("84", "iphone");
    await page.getByLabel("Mark user 83").focus();
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await until(async () => (await page.getByRole("row", { name: "User 84" }).locator(".active").innerText()) === "1");
    assert.ok(await page.getByLabel("Mark user 83").isChecked());
    await focused('[aria-label="Mark user 83"]');
    await page.getByLabel("Mark user 83").uncheck();
  });

  await step("a user opens in a tab of its own", async () => {
    const [tab] = await Promise.all([
      context.waitForEvent("page"),
      page.getByRole("link", { name: "User 84" }).click({ modifiers: ["ControlOrMeta"] }),
    ]);
    await tab.locator("#content li.row").waitFor();
    assert.equal(await tab.locator("#view-title").innerText(), "User 84");
    await tab.close();
    assert.equal(await text("#view-title"), "Known users");
  });

  await step("users without a session are nothing to end", async () => {
    await page.getByRole("link", { name: "Users" }).click();
    await page.getByLabel("Mark user 75").check();
    await press("End sessions of 1 user");
    await see("None of these users has a session to end.");
    await page.getByRole("button", { name: "End sessions", exact: true, disabled: true }).waitFor();
    await accessible();
    await press("Cancel");
  });

  for (let count = 0; count < CAP + 42; count += 1) await signIn("76", "linux");
  // Its history is one page, and the next page holds only a session that is live.
  for (let count = 0; count < 21; count += 1) {
    const { id } = await signIn("85", "linux");
    const end = () => fetch(`${API}/sessions/user/85/session/${id}`, { method: "DELETE", headers: { Authorization: `Bearer ${admin}` } });
    if (count) await end();
  }

  await step("history goes on page by page, and offers more only when there is more", async () => {
    await showUser("76");
    // The first page holds live sessions only, the second the rest of them.
    await rows(history(), 15);
    await rows(devices(), CAP);
    await press("Show older");
    await rows(history(), 35);
    await see("20 more shown");
    await press("Refresh");
    await until(async () => (await text("#summary")) === `${CAP} devices signed in`);
    await until(() => waiting.size === 0);
    await rows(history(), 35);
    await press("Show older");
    await rows(history(), 42);
    await see("7 more shown");
    await see("Gave way to a newer sign-in", history().last());
    assert.ok(!(await page.locator("#older").isVisible()));
    await showUser("85");
    await rows(history(), 20);
    await until(() => waiting.size === 0);
    assert.ok(!(await page.locator("#older").isVisible()), "nothing older has ended");
  });

  await step("what was ended here is seen in the history, wherever its place is", async () => {
    await showUser("76");
    await rows(history(), 15);
    await page.route(`${API}/sessions/user/76?include_inactive*`, (route) => route.fulfill({ json: [], headers: { "access-control-allow-origin": "*" } }));
    await devices().last().getByRole("button").click();
    await page.getByLabel("Reason").fill("seen at once");
    await press("End session");
    await see("Firefox on Linux is signed out.");
    await see("“seen at once”", history().first());
    await see("What was ended here comes first", page.locator("#order"));
    await page.unroute(`${API}/sessions/user/76?include_inactive*`);
  });

  await step("many sessions can be read and scrolled by keyboard", async () => {
    await pictures("many");
    await press("End all");
    await page.getByRole("heading", { name: `End ${CAP - 1} sessions of user 76?` }).waitFor();
    await pictures("end-many");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Shift+Tab");
    await focused("#dialog-list");
    await page.keyboard.press("End");
    await until(() => page.locator("#dialog-list").evaluate((list) => list.scrollTop > 0));
    await press("Cancel");
  });

  await step("users see their own devices and sign out everywhere else", async () => {
    const here = await signIn("77", "windows");
    await signIn("77", "iphone");
    await signIn("77", "linux");
    await signInWith(token("77", "--sid", here.id));
    await rows(devices(), 3);
    const marked = devices().filter({ has: page.locator(".badge:visible") });
    assert.match(await marked.innerText(), /^Chrome on Windows 10/);
    await see("This device", devices().first());
    await pictures("mine");
    await press("Sign out everywhere else");
    await page.getByRole("heading", { name: "Sign out on 2 other devices?" }).waitFor();
    await see("Safari on iPhone", page.locator("#dialog-list"));
    assert.ok(!(await text("#dialog-list")).includes("Chrome on Windows 10"), "this device stays");
    await pictures("elsewhere");
    await page.locator("#confirm").click();
    await see("2 sessions ended: ");
    await rows(devices(), 1);
    await see("This device", devices());
    await see("Signed out by you, with other devices", history().first());
    assert.ok(!(await page.locator("#end-all").isVisible()), "nothing else is left");
    await page.getByRole("button", { name: /^Sign out: Chrome/ }).click();
    await pictures("sign-out-here");
    await page.locator("#confirm").click();
    await see("You are signed out on this device.");
    await page.getByLabel("Paste a token").waitFor();
  });

  await step("what one user confirmed does not happen to the next one", async () => {
    for (const user of ["90", "91"]) await signIn(user, "iphone");
    const [first, second] = [await signIn("90", "windows"), await signIn("91", "windows")];
    await signInWith(token("90", "--sid", first.id));
    await rows(devices(), 2);
    await press("Sign out everywhere else");
    await page.getByRole("heading", { name: "Sign out on 1 other device?" }).waitFor();
    const ends = [];
    await page.route(`${API}/sessions/logout-all*`, (route) => {
      ends.push(route.request().headers().authorization);
      const headers = { "access-control-allow-origin": "*" };
      return ends.length > 1 ? route.continue() : route.fulfill({ status: 429, json: { message: "Too Many Requests" }, headers });
    });
    await page.locator("#confirm").click();
    await see("Trying again in 1 s…", page.locator("#dialog"));
    await press("Cancel");
    await press("Change token");
    await signInWith(token("91", "--sid", second.id));
    await rows(devices(), 2);
    // Longer than the page would wait before it tries again.
    await page.evaluate(() => new Promise((done) => setTimeout(done, 1500)));
    assert.equal(ends.length, 1, "nothing was sent again");
    assert.equal(await liveOf("91"), 2);
    await page.unroute(`${API}/sessions/logout-all*`);
  }, refused(429));

  await step("without a session in the token no device is taken for this one", async () => {
    await signIn("78", "iphone");
    await signInWith(token("78", "--expires-in", "3600"));
    await rows(devices(), 1);
    await see("The token does not say which of these devices is this one");
    assert.ok(!(await page.locator("#end-all").isVisible()));
    await accessible();
  });

  await step(
    "a user who is not an admin is refused, stays signed in and gets a link",
    async () => {
      await signInWith(token("75"));
      await see("You are not signed in on any device.");
      assert.ok(!(await page.getByRole("link", { name: "Users" }).isVisible()), "only admins see Users");
      await page.goto(`${PANEL}/#/users/78`);
      await see("Only admins can view other users' sessions", page.locator("#content"));
      await pictures("refused");
      await press("Open my devices");
      await see("You are not signed in on any device.");
    },
    refused(403),
  );

  await step(
    "an admin is led from their own number to their own devices",
    async () => {
      await signInWith(admin);
      await showUser("1");
      await see("These are your own sessions. You find them under My devices.", page.locator("#content"));
      await page.getByRole("button", { name: "Open my devices" }).first().click();
      await rows(devices(), 2);
    },
    refused(400),
  );

  await step(
    "an expired token leads to signing in, and from there back",
    async () => {
      await press("Change token");
      await page.goto(`${PANEL}/#/users/78`);
      await pasteToken(token("1", "--role", "admin", "--expires-in", "-60"));
      await see("The token has expired", page.locator("#sign-in-problem"));
      await focused("#token");
      await pictures("expired");
      await signInWith(admin);
      await page.getByRole("heading", { name: "User 78" }).waitFor();
      await rows(devices(), 1);
      await pasteToken(token("78"));
      await see("The token does not say which of these devices is this one");
    },
    refused(401),
  );

  await step(
    "a token dies with its session, in the middle of a question too",
    async () => {
      const here = await signIn("79", "windows");
      await signIn("79", "linux");
      await signInWith(token("79", "--sid", here.id));
      await page.getByRole("button", { name: /^End: Firefox/ }).click();
      await fetch(`${API}/sessions/user/79`, { method: "DELETE", headers: { Authorization: `Bearer ${admin}` } });
      await press("End session");
      await see("Session has ended", page.locator("#sign-in-problem"));
      assert.ok(!(await page.locator("#dialog").isVisible()));
    },
    refused(401),
  );

  await step(
    "a lost connection can be tried again",
    async () => {
      await signInWith(admin);
      await showUser("78");
      await rows(devices(), 1);
      await context.setOffline(true);
      await press("Refresh");
      await see(`The service at ${API} does not answer.`, page.locator("#content"));
      await context.setOffline(false);
      await page.locator("#content").getByRole("button", { name: "Try again" }).click();
      await rows(devices(), 1);
    },
    UNREACHABLE,
  );

  await step(
    "the service stops in the middle of an ending",
    async () => {
      await page.getByRole("button", { name: /^End: Safari/ }).click();
      process.kill(Number(process.env.STACK_PID), "SIGINT");
      await until(() => fetch(API).then(() => false, () => true));
      await page.getByLabel("Reason").fill("stolen");
      await press("End session");
      await see("does not answer. Nothing is confirmed", page.locator("#dialog"));
      await picture("stopped-in-dialog");
      await press("Cancel");
      await press("Refresh");
      await see(`The service at ${API} does not answer.`, page.locator("#content"));
      await accessible();
      await picture("stopped");
    },
    UNREACHABLE,
  );
} finally {
  await browser.close();
}
