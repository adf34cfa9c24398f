// The panel: a client of the session service and of nothing else. Whatever the service says reaches the page as
// text, never as HTML.

const PAGE = 20;
/** The most that the service puts on a page. */
const PAGE_MAX = 100;
/** The most users in one summary. */
const SUMMARY_MAX = 50;
/** The most users whose sessions the service ends with one request. */
const END_MAX = 100;
const TIMEOUT = 30_000;
/** After a 429 that names no time: how many seconds to wait before each further try. */
const WAITS = [1, 2, 4];

const $ = (id) => document.getElementById(id);

/** Where the service is, and the demo tokens and users, if any. */
let demo = { api: "", tokens: [], users: [] };
let token = sessionStorage.getItem("token");
/** Ends the requests of a view that has been left. */
let leaving = new AbortController();

// ---------------------------------------------------------------- the service

/** What the service refused, or why it could not be asked. */
class Problem extends Error {
  constructor(detail, { status = 0, code = "", request_id = "", retryAfter = 0, ended, remaining } = {}) {
    super(detail);
    Object.assign(this, { status, code, reference: request_id, retryAfter, ended, remaining });
  }
}

/** Asks the service; waits and asks again while it answers that there are too many requests. */
async function call(method, path, { body, signal } = {}) {
  for (const seconds of WAITS) {
    try {
      return await send(method, path, body, signal);
    } catch (problem) {
      if (problem.status !== 429) throw problem;
      await pause(problem.retryAfter || seconds, signal);
    }
  }
  return send(method, path, body, signal);
}

function pause(seconds, signal) {
  sayBusy(`There are too many requests at the moment. Trying again in ${seconds} s…`);
  const over = new Promise((done, fail) => {
    setTimeout(done, seconds * 1000);
    signal?.addEventListener("abort", () => fail(signal.reason));
  });
  return over.finally(() => sayBusy(""));
}

function sayBusy(text) {
  for (const node of document.querySelectorAll(".busy")) node.textContent = text;
}

async function send(method, path, json, signal) {
  const signals = [AbortSignal.timeout(TIMEOUT), ...(signal ? [signal] : [])];
  const type = json && { "Content-Type": "application/json" };
  let response, text;
  try {
    response = await fetch(demo.api + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...type },
      body: json && JSON.stringify(json),
      credentials: "omit",
      signal: AbortSignal.any(signals),
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const did = method === "GET" ? "" : " Nothing is confirmed; ending a session twice does no harm.";
    throw new Problem(`The service at ${demo.api} does not answer.${did}`);
  }
  const body = parse(text);
  if (response.ok && body) return { body, next: nextPage(response.headers.get("Link")) };
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  throw new Problem(detailOf(response.status, body), { ...body, status: response.status, retryAfter });
}

/** What the service says of a refusal; API Gateway's own answers have only a `message`. */
function detailOf(status, body) {
  if (body?.detail) return body.detail;
  if (status === 429) return "There are too many requests at the moment. Wait a little, then try again.";
  return `The service answered ${status}${body?.message ? `: ${body.message}` : " and did not say why"}.`;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The path of the next page; a link to another host is not followed. */
function nextPage(link) {
  const path = /<(\/[^/>][^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
  return path ?? null;
}

/**
 * A page of a list and what follows it: a path to ask, or sessions that are here already.
 *
 * A gateway that does not expose the Link header (the local one does not) leaves a full page without a next one,
 * as if it were the last. So the longest page is asked for once, and what is beyond the first page kept for later.
 */
async function firstPage(list, signal) {
  const path = (limit) => `${list}?include_inactive=true&limit=${limit}`;
  const page = await call("GET", path(PAGE), { signal });
  if (page.next || page.body.length < PAGE) return { sessions: page.body, next: page.next, kept: [] };
  const long = await call("GET", path(PAGE_MAX), { signal });
  const [sessions, kept] = [long.body.slice(0, PAGE), long.body.slice(PAGE)];
  return { sessions, kept, next: long.next, cut: !long.next && long.body.length === PAGE_MAX };
}

/** Goes on to a page with an ended session, or to the last one: the live sessions are in the same list. */
async function withEnded(page, signal) {
  while (!page.sessions.some(ended) && hasMore(page)) page = await pageAfter(page, signal);
  return page;
}

const hasMore = ({ next, kept }) => Boolean(next) || kept.length > 0;

async function pageAfter({ next, kept, cut }, signal) {
  if (kept.length) return { sessions: kept.slice(0, PAGE), kept: kept.slice(PAGE), next, cut };
  const page = await call("GET", next, { signal });
  return { sessions: page.body, next: page.next, kept: [] };
}

/** How many sessions each of these users has, and when they were last active. */
async function summaries(users, signal) {
  const all = [];
  for (let at = 0; at < users.length; at += SUMMARY_MAX) {
    const query = new URLSearchParams(users.slice(at, at + SUMMARY_MAX).map((user) => ["user_id", user]));
    all.push(...(await call("GET", `/sessions/summary?${query}`, { signal })).body);
  }
  return all;
}

// ---------------------------------------------------------------- whose sessions

/** The known users except the caller, because one's own sessions have other routes. A panel with a directory would list that. */
const everybody = {
  title: "Known users",
  users: () => demo.users.filter((user) => user !== String(claims().sub)),
  empty: "This panel knows no other users; look one up by the ID.",
};

/** Another user's sessions, as an admin sees them. */
function ofUser(user) {
  const list = `/sessions/user/${encodeURIComponent(user)}`;
  return {
    title: `User ${user}`,
    list,
    one: (id) => `${list}/session/${encodeURIComponent(id)}`,
    all: list,
    allLabel: "End all",
    endLabel: () => "End",
    empty: `User ${user} is not signed in anywhere.`,
    // The service says what would end at this moment.
    wouldEnd: async () => (await call("DELETE", `${list}?dry_run=true`)).body.sessions,
    ask: (count) => `End ${sessionCount(count)} of user ${user}?`,
    confirm: (count) => `End ${sessionCount(count)}`,
    nothing: `User ${user} has no session to end.`,
    warning: "These are signed out at once:",
  };
}

/** One's own sessions. */
const mine = {
  own: true,
  title: "My devices",
  list: "/sessions/my-sessions",
  one: (id) => `/sessions/session/${encodeURIComponent(id)}`,
  all: "/sessions/logout-all?exclude_current=true",
  allLabel: "Sign out everywhere else",
  endLabel: (session) => (session.is_current ? "Sign out" : "End"),
  empty: "You are not signed in on any device.",
  wouldEnd: async () => (await call("GET", mine.list)).body.filter((session) => !session.is_current),
  ask: (count) => `Sign out on ${count === 1 ? "1 other device" : `${count} other devices`}?`,
  confirm: () => "Sign out everywhere else",
  nothing: "You are signed in only on this device.",
  warning: "This device stays signed in. These are signed out at once:",
};

// ---------------------------------------------------------------- signing in

function signIn(given) {
  token = given;
  sessionStorage.setItem("token", token);
  route();
}

/** Signs a demo user in as a back end does: with a token made for it, and a session opened with that. */
async function demoSignIn(label) {
  try {
    await loadDemo();
    token = demo.tokens.find((pick) => pick.label === label).token;
    await call("POST", "/sessions/create", { body: { device_fingerprint: browserId() } });
  } catch (problem) {
    return leave(problem.message);
  }
  signIn(token);
}

/** Tells this browser from others that call themselves the same. */
function browserId() {
  const known = localStorage.getItem("browser") ?? crypto.randomUUID();
  localStorage.setItem("browser", known);
  return known;
}

async function loadDemo() {
  try {
    demo = await (await fetch("demo.json")).json();
  } catch {
    throw new Problem("The panel could not read demo.json, which says where the service is. Is it still running?");
  }
}

/** Signs out. The next user starts on the first page. */
function signOut(why) {
  history.replaceState(null, "", "#/");
  leave(why);
}

/** Forgets the token, says `why`, and stays on the page, so that the next sign-in continues there. */
function leave(why = "") {
  token = null;
  sessionStorage.removeItem("token");
  leaving.abort();
  closeQuestion();
  show("sign-in");
  $("sign-in-problem").textContent = why;
  $("token").value = "";
  document.title = "Sign in – Sessions";
  (why ? $("token") : $("pick-list").querySelector("button") ?? $("token")).focus();
}

/** What the token says. It decides what the page offers; the service decides who may do what. */
function claims() {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

const isAdmin = () => [claims().role].flat().includes("admin");

function pasted(event) {
  event.preventDefault();
  const text = $("token").value.trim().replace(/^Bearer\s+/i, "");
  if (/^[\w.~+/=-]+$/.test(text)) return signIn(text);
  $("sign-in-problem").textContent = text
    ? "This is no token: a token is one line of letters, digits and dots."
    : "Paste a token first, or pick one.";
  $("token").focus();
}

// ---------------------------------------------------------------- views

function show(...ids) {
  for (const id of ["sign-in", "find", "view"]) $(id).hidden = !ids.includes(id);
  const signedIn = !ids.includes("sign-in");
  $("nav").hidden = $("who").hidden = !signedIn;
}

function route() {
  if (!token) return leave($("sign-in-problem").textContent);
  closeQuestion();
  leaving.abort();
  leaving = new AbortController();
  const { sub, role } = claims();
  $("who-name").textContent = sub === undefined ? "" : `User ${sub}${role ? `, ${[role].flat().join(", ")}` : ""}`;
  const [, place, user] = location.hash.split("/");
  const atMine = (place || (isAdmin() ? "users" : "mine")) === "mine";
  $("to-users").hidden = !isAdmin();
  mark("to-users", !atMine);
  mark("to-mine", atMine);
  if (atMine) return open(mine, ["view"]);
  const id = decode(user);
  $("user").value = id;
  open(id ? ofUser(id) : everybody, isAdmin() ? ["find", "view"] : ["view"]);
  if (!id) $("user").focus();
}

function mark(id, current) {
  if (current) $(id).setAttribute("aria-current", "page");
  else $(id).removeAttribute("aria-current");
}

function decode(text = "") {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

let scope = everybody;

function open(of, sections) {
  scope = of;
  show(...sections);
  document.title = `${of.title} – Sessions`;
  $("view-title").textContent = of.title;
  $("notice").textContent = "";
  $("view-title").focus();
  return refresh();
}

async function refresh() {
  // An older answer must not replace a newer one.
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  $("end-all").hidden = $("unmarked").hidden = true;
  $("past").hidden = scope === everybody;
  if (scope === everybody) return showUsers(signal);
  const [shown] = await Promise.all([showDevices(scope, signal), showHistory(scope, signal)]);
  // One failure is enough to read; the history's would be the same.
  if (!signal.aborted) $("past").hidden = !shown;
}

async function showUsers(signal) {
  $("summary").textContent = "";
  wait($("content"), "Loading the users…");
  await attempt($("content"), signal, async () => {
    const users = await summaries(everybody.users(), signal);
    if (!users.length) return $("content").replaceChildren(paragraph(everybody.empty, "state"));
    $("content").replaceChildren(usersTable(users));
    offerMarked();
  });
}

async function showDevices(of, signal) {
  $("summary").textContent = "";
  wait($("content"), "Loading the devices…");
  return attempt($("content"), signal, async () => {
    const { body: sessions } = await call("GET", of.list, { signal });
    const marked = !of.own || sessions.some((session) => session.is_current);
    const endable = sessions.filter((session) => !session.is_current).length;
    $("summary").textContent = `${sessions.length === 1 ? "1 device" : `${sessions.length} devices`} signed in`;
    $("end-all").textContent = of.allLabel;
    $("end-all").hidden = !marked || !endable;
    $("unmarked").hidden = marked || !sessions.length;
    sessions.sort((a, b) => Boolean(b.is_current) - Boolean(a.is_current));
    fill($("content"), sessions.map((session) => deviceRow(of, session)), of.empty);
  });
}

async function showHistory(of, signal) {
  $("older").hidden = true;
  $("more-note").textContent = "";
  wait($("history"), "Loading the history…");
  await attempt($("history"), signal, async () => {
    const page = await withEnded(await firstPage(of.list, signal), signal);
    const empty = page.cut ? `None of the newest ${PAGE_MAX} sessions has ended.` : "Nothing has ended yet.";
    fill($("history"), page.sessions.filter(ended).map(historyRow), empty);
    offerOlder(page, signal);
  });
}

function offerOlder(page, signal) {
  const more = hasMore(page);
  $("older").hidden = !more;
  $("more-note").textContent =
    !more && page.cut ? `The gateway hides the link to sessions older than the newest ${PAGE_MAX}.` : "";
  $("older").onclick = () => showOlder(page, signal);
}

async function showOlder(page, signal) {
  $("more-note").textContent = "Loading…";
  try {
    const after = await withEnded(await pageAfter(page, signal), signal);
    const rows = after.sessions.filter(ended).map(historyRow);
    offerOlder(after, signal);
    $("more-note").textContent ||= rows.length ? `${rows.length} more shown` : "Nothing older has ended.";
    appendRows($("history"), rows);
    rows[0]?.focus();
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.status === 401) return leave(problem.message);
    $("more-note").replaceChildren(...explain(problem));
  }
}

const ended = (session) => !session.is_active;

function wait(into, text) {
  into.setAttribute("aria-busy", "true");
  into.replaceChildren(paragraph(text, "state"));
}

/** Does it, or says in its place why it could not be done. Returns whether it was done. */
async function attempt(into, signal, work) {
  try {
    await work();
    return true;
  } catch (problem) {
    if (signal.aborted) return false;
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 401) leave(problem.message);
    else into.replaceChildren(failure(problem));
    return false;
  } finally {
    if (!signal.aborted) into.removeAttribute("aria-busy");
  }
}

function failure(problem) {
  const box = document.createElement("div");
  box.className = "state";
  box.setAttribute("role", "alert");
  box.append(...explain(problem));
  if (["own_sessions", "admin_only"].includes(problem.code)) {
    box.append(button("Open my devices", () => (location.hash = "#/mine")));
  } else if ([0, 429].includes(problem.status) || problem.status >= 500) {
    box.append(button("Try again", refresh));
  }
  return box;
}

/** What went wrong, and under which id the service's log knows it. */
function explain({ message, reference }) {
  const text = span(message, "bad");
  return reference ? [text, span(`Reference ${reference}`, "hint mono")] : [text];
}

function fill(into, rows, empty) {
  if (!rows.length) return into.replaceChildren(paragraph(empty, "state"));
  into.replaceChildren();
  appendRows(into, rows);
}

function appendRows(into, rows) {
  let list = into.querySelector("ul");
  if (!list && rows.length) {
    list = document.createElement("ul");
    list.className = "rows";
    into.replaceChildren(list);
  }
  list?.append(...rows);
}

// ---------------------------------------------------------------- rows

function usersTable(users) {
  const table = $("users-table").content.firstElementChild.cloneNode(true);
  table.querySelector("tbody").append(...users.map(userRow));
  table.onchange = ({ target }) => {
    if (target.className === "all") for (const box of boxes()) box.checked = target.checked;
    offerMarked();
  };
  return table;
}

function userRow({ user_id: user, active, last_activity: last }) {
  const row = $("user-row").content.firstElementChild.cloneNode(true);
  const [box, link] = [row.querySelector("input"), row.querySelector("a")];
  box.value = user;
  box.setAttribute("aria-label", `Mark user ${user}`);
  link.textContent = `User ${user}`;
  link.href = placeOf(user);
  row.querySelector(".active").textContent = active;
  if (last) row.querySelector(".last").replaceChildren(timeAgo(last));
  return row;
}

const boxes = () => [...$("content").querySelectorAll("tbody input")];
const marked = () => boxes().flatMap(({ checked, value }) => (checked ? [value] : []));

/** Offers to end the sessions of the users who are marked. */
function offerMarked() {
  const [count, known] = [marked().length, boxes().length];
  $("summary").textContent = count
    ? `${count} of ${userCount(known)} marked`
    : `${userCount(known)}; mark some to end their sessions`;
  $("end-all").hidden = !count;
  $("end-all").textContent = `End sessions of ${userCount(count)}`;
  const all = $("content").querySelector(".all");
  all.checked = count === known;
  all.indeterminate = count > 0 && count < known;
}

function deviceRow(of, session) {
  const row = common("device-row", session);
  fillWhat(row.querySelector(".what"), session);
  row.querySelector(".badge").hidden = !session.is_current;
  setTime(row.querySelector(".last"), session.last_activity);
  setTime(row.querySelector(".expires"), session.expires_at);
  const end = row.querySelector("button");
  end.textContent = of.endLabel(session);
  end.setAttribute("aria-label", `${end.textContent}: ${session.device_name}, ${session.ip_address}`);
  end.onclick = () => endOne(of, session);
  return row;
}

/** Browser and system, as far as the name does not say them. */
function fillWhat(node, { device_name: name, browser, os }) {
  const more = [browser, os].filter((part) => part !== "Unknown" && !name.includes(part));
  node.replaceChildren(...joined(more.map(chosen), " · "));
  node.hidden = !more.length;
}

function historyRow(session) {
  const row = common("history-row", session);
  row.tabIndex = -1;
  row.querySelector(".how").textContent = howEnded(session);
  if (session.end_note) {
    row.querySelector(".note").hidden = false;
    row.querySelector(".note").replaceChildren("“", chosen(session.end_note), "”");
  }
  setTime(row.querySelector(".ended"), session.ended_at);
  return row;
}

function common(template, session) {
  const row = $(template).content.firstElementChild.cloneNode(true);
  const mobile = session.device_type === "mobile";
  row.querySelector(".icon").textContent = mobile ? "📱" : "💻";
  row.querySelector(".icon").setAttribute("aria-label", mobile ? "Mobile" : "Computer");
  row.querySelector("bdi").textContent = session.device_name;
  row.querySelector(".ip").textContent = session.ip_address;
  setTime(row.querySelector(".since"), session.created_at);
  return row;
}

/** `who` is empty where the service does not say it: only admins see which admin it was. */
const HOW = {
  revoked_by_admin: (who) => (who ? `Ended by ${who} as admin` : "Ended by an admin"),
  revoked_by_service: () => "Ended by the back end",
  revoked_by_user: (who) => `Ended by ${who}`,
  logout: (who) => `Signed out by ${who}`,
  logout_all: (who) => `Signed out by ${who}, with other devices`,
  evicted: () => "Gave way to a newer sign-in",
  expired: () => "Expired",
};

function howEnded({ end_reason: reason, ended_by: by, user_id: owner }) {
  const id = by ?? (["revoked_by_user", "logout", "logout_all"].includes(reason) ? owner : null);
  const you = String(id) === String(claims().sub);
  return HOW[reason]?.(you ? "you" : id && `user ${id}`) ?? reason;
}

// ---------------------------------------------------------------- ending

function endOne(of, session) {
  const leaves = Boolean(session.is_current);
  ask({
    title: leaves ? "Sign out on this device?" : ["End the session on ", chosen(session.device_name), "?"],
    text: leaves ? "You will have to sign in again." : "It is signed out at once.",
    confirm: leaves ? "Sign out" : "End session",
    wouldEnd: async () => [session],
    perform: async (reason) => {
      await call("DELETE", withReason(of.one(session.id), reason));
      if (leaves) return signOut("You are signed out on this device.");
      return [chosen(session.device_name), " is signed out."];
    },
  });
}

function endAll(of) {
  ask({
    title: `${of.allLabel}?`,
    text: "Looking up what will end…",
    confirm: of.allLabel,
    wouldEnd: of.wouldEnd,
    fill: (count) => ({ title: of.ask(count), text: of.warning, confirm: of.confirm(count) }),
    nothing: of.nothing,
    perform: async (reason) => {
      const { body } = await call("DELETE", withReason(of.all, reason));
      const names = body.sessions.map((session) => chosen(session.device_name));
      if (!names.length) return "There was nothing left to end.";
      return [`${sessionCount(names.length)} ended: `, ...joined(names, ", "), "."];
    },
  });
}

/** Ends all sessions of many users; who is left when the service could not end them all can be tried again. */
function endMarked(users) {
  let left = users;
  let sum = 0;
  const end = async (some, rest) =>
    (await call("POST", "/sessions/end", { body: { user_ids: some, ...rest } })).body.users;
  ask({
    title: `End all sessions of ${userCount(users.length)}?`,
    text: "Looking up what will end…",
    confirm: "End sessions",
    wouldEnd: async () => {
      const all = [];
      for (let at = 0; at < users.length; at += END_MAX) {
        all.push(...(await end(users.slice(at, at + END_MAX), { dry_run: true })));
      }
      return all;
    },
    item: userEnding,
    count: sessionsOf,
    fill: (count) => ({
      title: `End ${sessionCount(count)} of ${userCount(users.length)}?`,
      text: "These users are signed out at once:",
      confirm: `End ${sessionCount(count)}`,
    }),
    nothing: "None of these users has a session to end.",
    perform: async (reason) => {
      while (left.length) {
        const [some, others] = [left.slice(0, END_MAX), left.slice(END_MAX)];
        try {
          sum += sessionsOf(await end(some, reason ? { reason } : {}));
          left = others;
        } catch (problem) {
          sum += sessionsOf(problem.ended ?? []);
          // They come last, so that the next try reaches the others even if these fail again.
          left = [...others, ...(problem.remaining?.map(String) ?? some)];
          if (!problem.remaining && left.length === users.length) throw problem;
          showEnding(left.map((user) => item(`User ${user}`)));
          const text = `These users ${problem.remaining ? "are still" : "may still be"} signed in:`;
          describe({ title: "End the remaining sessions?", text, confirm: "Try again" });
          problem.message += ` (${userCount(users.length - left.length)} signed out, ${userCount(left.length)} left)`;
          refresh();
          throw problem;
        }
      }
      return `${sessionCount(sum)} of ${userCount(users.length)} ended.`;
    },
  });
}

const sessionsOf = (users) => users.reduce((sum, { revoked }) => sum + revoked, 0);

const userCount = (count) => (count === 1 ? "1 user" : `${count} users`);
const sessionCount = (count) => (count === 1 ? "1 session" : `${count} sessions`);

function withReason(path, reason) {
  if (!reason) return path;
  return `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams({ reason })}`;
}

/** The last question that was asked in the view that is open. */
let asked = null;

function done(outcome) {
  $("dialog").close();
  $("notice").replaceChildren(...[outcome].flat());
  $("view-title").focus();
}

/** Shows what will end and asks. If it fails, the dialog stays open with the reason. */
async function ask(question) {
  asked = question;
  describe(question);
  $("reason").value = $("dialog-problem").textContent = "";
  $("dialog-list").replaceChildren();
  ready(false);
  $("dialog-form").onsubmit = (event) => {
    event.preventDefault();
    if ($("confirm").getAttribute("aria-disabled") !== "true") answer(question);
  };
  $("dialog").showModal();
  // Enter must not end anything before the question has been read.
  $("cancel").focus();
  await inDialog(question, async () => {
    const { item = ending, count = ({ length }) => length } = question;
    const list = await question.wouldEnd();
    if (asked !== question) return;
    const sessions = count(list);
    if (question.fill) describe(sessions ? question.fill(sessions) : { ...question, text: question.nothing });
    showEnding(list.map(item));
    ready(sessions > 0);
  });
}

/** Lists what will end; a list that scrolls must be reachable by keyboard. */
function showEnding(items) {
  const list = $("dialog-list");
  list.replaceChildren(...items);
  if (list.scrollHeight > list.clientHeight) list.tabIndex = 0;
  else list.removeAttribute("tabindex");
}

function closeQuestion() {
  asked = null;
  $("dialog").close();
}

function describe({ title, text, confirm }) {
  $("dialog-title").replaceChildren(...[title].flat());
  $("dialog-text").textContent = text;
  $("confirm").textContent = confirm;
}

async function answer(question) {
  question.sent = true;
  ready(false);
  $("dialog-problem").textContent = "";
  await inDialog(question, async () => {
    const outcome = await question.perform($("reason").value.trim());
    if (!token) return;
    if (asked === question) done(outcome);
    await refresh();
  });
}

async function inDialog(question, work) {
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const closed = !$("dialog").open;
    if (asked !== question || (closed && !question.sent)) return;
    if (problem.status === 401) return leave(problem.message);
    $("dialog-problem").replaceChildren(...explain(problem));
    ready($("dialog-list").childElementCount > 0);
    // Whoever closed it after it was sent learns of the failure too.
    if (closed) $("dialog").showModal();
  }
}

// Not `disabled`, which would take the focus away from under the keyboard.
const ready = (is) => $("confirm").setAttribute("aria-disabled", String(!is));

function ending(session) {
  const name = document.createElement("strong");
  name.append(chosen(session.device_name));
  const hint = span(`${session.ip_address}, active `, "hint");
  hint.append(timeAgo(session.last_activity));
  return item(name, hint);
}

function userEnding({ user_id: user, revoked }) {
  const name = document.createElement("strong");
  name.textContent = `User ${user}`;
  return item(name, span(revoked ? sessionCount(revoked) : "no session", "hint"));
}

// ---------------------------------------------------------------- times

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const short = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
/** Whether all times are shown to the second, as the button asks. */
let exactTimes = false;

function fromNow(date) {
  const minutes = Math.round((date - Date.now()) / 60_000);
  const size = Math.abs(minutes);
  if (size < 1) return "just now";
  if (size < 60) return relative.format(minutes, "minute");
  if (size < 60 * 24) return relative.format(Math.round(minutes / 60), "hour");
  if (size <= 60 * 24 * 30) return relative.format(Math.round(minutes / 60 / 24), "day");
  return short.format(date);
}

function setTime(node, text) {
  const date = new Date(text);
  node.dateTime = text;
  node.title = exact.format(date);
  if (exactTimes) node.textContent = node.title;
  else node.textContent = node.dataset.style === "relative" ? fromNow(date) : short.format(date);
}

function timeAgo(text) {
  const node = document.createElement("time");
  node.dataset.style = "relative";
  setTime(node, text);
  return node;
}

function updateTimes() {
  for (const node of document.querySelectorAll("time[datetime]")) setTime(node, node.dateTime);
}

function toggleExact() {
  exactTimes = !exactTimes;
  $("exact").setAttribute("aria-pressed", String(exactTimes));
  updateTimes();
}

// ---------------------------------------------------------------- small things

function paragraph(text, className) {
  const node = document.createElement("p");
  node.className = className;
  node.textContent = text;
  return node;
}

function span(text, className) {
  return Object.assign(document.createElement("span"), { textContent: text, className });
}

/** Text that a client chose: whichever way it is written, the words around it stay where they are. */
function chosen(text) {
  return Object.assign(document.createElement("bdi"), { textContent: text });
}

/** The nodes with a separator between each two. */
const joined = (nodes, separator) => nodes.flatMap((node, index) => (index ? [separator, node] : [node]));

function button(text, onclick) {
  const node = document.createElement("button");
  return Object.assign(node, { type: "button", textContent: text, onclick });
}

function item(...children) {
  const node = document.createElement("li");
  node.append(...children);
  return node;
}

/** A key that is held down must not press one button after the other. */
function ignoreHeldEnter(event) {
  if (event.repeat && event.key === "Enter" && event.target.localName !== "textarea") event.preventDefault();
}

function offerDemo() {
  const picks = demo.tokens.map(({ label, about }) => {
    const pick = button("", () => demoSignIn(label));
    const name = document.createElement("strong");
    name.textContent = label;
    pick.append(name, paragraph(about, "hint"));
    return item(pick);
  });
  $("pick-list").replaceChildren(...picks);
  $("picks").hidden = !picks.length;
}

/** The address of a user's page; another panel may link there. */
const placeOf = (user) => `#/users/${encodeURIComponent(user)}`;

async function start() {
  $("token-form").onsubmit = pasted;
  $("find-form").onsubmit = (event) => {
    event.preventDefault();
    const place = placeOf($("user").value.trim());
    if (location.hash === place) route();
    else location.hash = place;
  };
  $("leave").onclick = () => signOut();
  $("refresh").onclick = () => {
    $("notice").textContent = "";
    refresh();
  };
  $("exact").onclick = toggleExact;
  $("end-all").onclick = () => (scope === everybody ? endMarked(marked()) : endAll(scope));
  $("cancel").onclick = () => $("dialog").close();
  addEventListener("hashchange", route);
  addEventListener("keydown", ignoreHeldEnter);
  setInterval(updateTimes, 30_000);
  try {
    await loadDemo();
  } catch (problem) {
    return leave(problem.message);
  }
  offerDemo();
  route();
}

start();
