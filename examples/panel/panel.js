// The panel: a client of the session service and of nothing else. Whatever the service says reaches the page as
// text, never as HTML.

const PAGE = 20;
/** The most that the service puts on a page. */
const PAGE_MAX = 100;
const TIMEOUT = 30_000;

const $ = (id) => document.getElementById(id);

/** Where the service is, and the demo tokens and users, if any. */
let demo = { api: "", tokens: [], users: [] };
let token = sessionStorage.getItem("token");
/** Ends the requests of a view that has been left. */
let leaving = new AbortController();

// ---------------------------------------------------------------- the service

/** What the service refused, or why it could not be asked. */
class Problem extends Error {
  constructor(detail, { status = 0, code = "", request_id = "" } = {}) {
    super(detail);
    Object.assign(this, { status, code, reference: request_id });
  }
}

async function call(method, path, signal) {
  const signals = [AbortSignal.timeout(TIMEOUT), ...(signal ? [signal] : [])];
  let response, text;
  try {
    response = await fetch(demo.api + path, {
      method,
      headers: { Authorization: `Bearer ${token}` },
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
  const detail = body?.detail ?? `The service answered ${response.status} and did not say why.`;
  throw new Problem(detail, { ...body, status: response.status });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The path after `rel="next"`; a place on another host is none of ours. */
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
  const page = await call("GET", path(PAGE), signal);
  if (page.next || page.body.length < PAGE) return { sessions: page.body, next: page.next, kept: [] };
  const long = await call("GET", path(PAGE_MAX), signal);
  const [sessions, kept] = [long.body.slice(0, PAGE), long.body.slice(PAGE)];
  return { sessions, kept, next: long.next, cut: !long.next && long.body.length === PAGE_MAX };
}

async function pageAfter({ next, kept, cut }, signal) {
  if (kept.length) return { sessions: kept.slice(0, PAGE), kept: kept.slice(PAGE), next, cut };
  const page = await call("GET", next, signal);
  return { sessions: page.body, next: page.next, kept: [] };
}

// ---------------------------------------------------------------- whose sessions

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
    // What would end is the service's word, at this moment.
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
  nothing: "You are signed in on this device alone.",
  warning: "This device stays signed in. These are signed out at once:",
};

// ---------------------------------------------------------------- signing in

function signIn(given) {
  token = given;
  sessionStorage.setItem("token", token);
  const { role } = claims();
  const home = [role].flat().includes("admin") ? "#/users" : "#/mine";
  if (location.hash === home) route();
  else location.hash = home;
}

/** Forgets the token; `why` is shown next to where another one goes. */
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

/** What the token says, for the greeting and the first page alone: the service decides who may do what. */
function claims() {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

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
  mark("to-users", place !== "mine");
  mark("to-mine", place === "mine");
  if (place === "mine") return open(mine, ["view"]);
  const id = decode(user);
  $("user").value = id;
  if (id) return open(ofUser(id), ["find", "view"]);
  show("find");
  document.title = "Users – Sessions";
  $("user").focus();
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

let scope = mine;

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
  $("past").hidden = false;
  const [shown] = await Promise.all([showDevices(scope, signal), showHistory(scope, signal)]);
  // One failure is enough to read; the history's would be the same.
  if (!signal.aborted) $("past").hidden = !shown;
}

async function showDevices(of, signal) {
  $("end-all").hidden = $("unmarked").hidden = true;
  $("summary").textContent = "";
  wait($("devices"), "Loading the devices…");
  return attempt($("devices"), signal, async () => {
    const { body: sessions } = await call("GET", of.list, signal);
    const marked = !of.own || sessions.some((session) => session.is_current);
    const endable = sessions.filter((session) => !session.is_current).length;
    $("summary").textContent = `${sessions.length === 1 ? "1 device" : `${sessions.length} devices`} signed in`;
    $("end-all").textContent = of.allLabel;
    $("end-all").hidden = !marked || !endable;
    $("unmarked").hidden = marked || !sessions.length;
    fill($("devices"), sessions.map((session) => deviceRow(of, session)), of.empty);
  });
}

async function showHistory(of, signal) {
  $("older").hidden = true;
  $("more-note").textContent = "";
  wait($("history"), "Loading the history…");
  await attempt($("history"), signal, async () => {
    const page = await firstPage(of.list, signal);
    fill($("history"), page.sessions.filter(ended).map(historyRow), "Nothing has ended yet.");
    offerOlder(page, signal);
  });
}

function offerOlder(page, signal) {
  const more = page.next !== null || page.kept.length > 0;
  $("older").hidden = !more;
  $("more-note").textContent =
    !more && page.cut ? `These are the newest ${PAGE_MAX}; the gateway does not tell this page where older ones are.` : "";
  $("older").onclick = () => showOlder(page, signal);
}

async function showOlder(page, signal) {
  $("more-note").textContent = "Loading…";
  try {
    const after = await pageAfter(page, signal);
    const rows = after.sessions.filter(ended).map(historyRow);
    offerOlder(after, signal);
    $("more-note").textContent ||= `${rows.length} more shown`;
    appendRows($("history"), rows);
    rows[0]?.focus();
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.status === 401) return leave(problem.message);
    $("more-note").textContent = problem.message;
  }
}

const ended = (session) => !session.is_active;

function wait(into, text) {
  into.setAttribute("aria-busy", "true");
  into.replaceChildren(paragraph(text, "state"));
}

/** Does it, or says in its place why it could not be done; whether it was done. */
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
  box.append(paragraph(problem.message, "bad"));
  if (problem.reference) box.append(paragraph(`Reference ${problem.reference}`, "hint mono"));
  if (problem.code === "own_sessions") {
    box.append(button("Open my devices", () => (location.hash = "#/mine")));
  } else if (problem.status === 0 || problem.status >= 500) {
    box.append(button("Try again", refresh));
  }
  return box;
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

function deviceRow(of, session) {
  const row = common("device-row", session);
  row.querySelector(".what").textContent = `${session.browser} · ${session.os}`;
  row.querySelector(".badge").hidden = !session.is_current;
  setTime(row.querySelector(".last"), session.last_activity);
  const end = row.querySelector("button");
  end.textContent = of.endLabel(session);
  end.setAttribute("aria-label", `${end.textContent}: ${session.device_name}, ${session.ip_address}`);
  end.onclick = () => endOne(of, session);
  return row;
}

function historyRow(session) {
  const row = common("history-row", session);
  row.tabIndex = -1;
  row.querySelector(".how").textContent = howEnded(session);
  if (session.end_note) {
    row.querySelector(".note").hidden = false;
    row.querySelector(".note").textContent = `“${session.end_note}”`;
  }
  setTime(row.querySelector(".ended"), session.ended_at);
  return row;
}

function common(template, session) {
  const row = $(template).content.firstElementChild.cloneNode(true);
  const mobile = session.device_type === "mobile";
  row.querySelector(".icon").textContent = mobile ? "📱" : "💻";
  row.querySelector(".icon").setAttribute("aria-label", mobile ? "Mobile" : "Computer");
  row.querySelector("strong").textContent = session.device_name;
  row.querySelector(".ip").textContent = session.ip_address;
  setTime(row.querySelector(".since"), session.created_at);
  return row;
}

const HOW = {
  revoked_by_admin: (who) => `Ended by ${who} as admin`,
  revoked_by_user: (who) => `Ended by ${who}`,
  logout: (who) => `Signed out by ${who}`,
  logout_all: (who) => `Signed out by ${who}, with other devices`,
  evicted: () => "Gave way to a newer sign-in",
  expired: () => "Expired",
};

function howEnded({ end_reason: reason, ended_by: by }) {
  const who = String(by) === String(claims().sub) ? "you" : `user ${by ?? "unknown"}`;
  return HOW[reason]?.(who) ?? reason;
}

// ---------------------------------------------------------------- ending

function endOne(of, session) {
  const leaves = Boolean(session.is_current);
  ask({
    title: leaves ? "Sign out on this device?" : `End the session on ${session.device_name}?`,
    text: leaves ? "You will have to sign in again." : "It is signed out at once.",
    confirm: leaves ? "Sign out" : "End session",
    wouldEnd: async () => [session],
    perform: async (reason) => {
      await call("DELETE", withReason(of.one(session.id), reason));
      if (leaves) return leave("You are signed out on this device.");
      return `${session.device_name} is signed out.`;
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
      const names = body.sessions.map((session) => session.device_name).join(", ");
      return names ? `${sessionCount(body.sessions.length)} ended: ${names}.` : "There was nothing left to end.";
    },
  });
}

const sessionCount = (count) => (count === 1 ? "1 session" : `${count} sessions`);

function withReason(path, reason) {
  if (!reason) return path;
  return `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams({ reason })}`;
}

/** The last question that was asked in the view that is open. */
let asked = null;

function done(text) {
  $("dialog").close();
  $("notice").textContent = text;
  $("view-title").focus();
}

/** Asks before something ends, naming what; stays open with the reason when it fails. */
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
  $("dialog-title").focus();
  await inDialog(question, async () => {
    const sessions = await question.wouldEnd();
    if (asked !== question) return;
    if (question.fill) describe(sessions.length ? question.fill(sessions.length) : { ...question, text: question.nothing });
    $("dialog-list").replaceChildren(...sessions.map(ending));
    ready(sessions.length > 0);
    if (sessions.length) $("reason").focus();
  });
}

function closeQuestion() {
  asked = null;
  $("dialog").close();
}

function describe({ title, text, confirm }) {
  $("dialog-title").textContent = title;
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
    $("dialog-problem").textContent = problem.message;
    ready($("dialog-list").childElementCount > 0);
    // Whoever closed it after it was sent learns of the failure too.
    if (closed) $("dialog").showModal();
  }
}

// Not `disabled`, which would take the focus away from under the keyboard.
const ready = (is) => $("confirm").setAttribute("aria-disabled", String(!is));

function ending(session) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  name.textContent = session.device_name;
  const hint = document.createElement("span");
  hint.className = "hint";
  hint.textContent = `${session.ip_address}, active ${ago(new Date(session.last_activity))}`;
  item.append(name, hint);
  return item;
}

// ---------------------------------------------------------------- times

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });
const short = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

function ago(date) {
  const minutes = Math.round((date - Date.now()) / 60_000);
  if (minutes > -1) return "just now";
  if (minutes > -60) return relative.format(minutes, "minute");
  if (minutes > -60 * 24) return relative.format(Math.round(minutes / 60), "hour");
  if (minutes > -60 * 24 * 30) return relative.format(Math.round(minutes / 60 / 24), "day");
  return short.format(date);
}

function setTime(node, text) {
  const date = new Date(text);
  node.dateTime = text;
  node.title = exact.format(date);
  node.textContent = node.dataset.style === "ago" ? ago(date) : short.format(date);
}

function keepTimesFresh() {
  for (const node of document.querySelectorAll("time[data-style=ago]")) setTime(node, node.dateTime);
}

// ---------------------------------------------------------------- small things

function paragraph(text, className) {
  const node = document.createElement("p");
  node.className = className;
  node.textContent = text;
  return node;
}

function button(text, onclick) {
  const node = document.createElement("button");
  return Object.assign(node, { type: "button", textContent: text, onclick });
}

function item(child) {
  const node = document.createElement("li");
  node.append(child);
  return node;
}

function offerDemo() {
  const picks = demo.tokens.map(({ label, about, token }) => {
    const pick = button("", () => signIn(token));
    const name = document.createElement("strong");
    name.textContent = label;
    pick.append(name, paragraph(about, "hint"));
    return item(pick);
  });
  $("pick-list").replaceChildren(...picks);
  $("picks").hidden = !picks.length;
  $("user-picks").replaceChildren(
    ...demo.users.map((user) => item(button(user, () => (location.hash = `#/users/${encodeURIComponent(user)}`)))),
  );
}

async function start() {
  $("token-form").onsubmit = pasted;
  $("find-form").onsubmit = (event) => {
    event.preventDefault();
    const place = `#/users/${encodeURIComponent($("user").value.trim())}`;
    if (location.hash === place) route();
    else location.hash = place;
  };
  $("leave").onclick = () => leave();
  $("refresh").onclick = () => {
    $("notice").textContent = "";
    refresh();
  };
  $("end-all").onclick = () => endAll(scope);
  $("cancel").onclick = () => $("dialog").close();
  addEventListener("hashchange", route);
  setInterval(keepTimesFresh, 30_000);
  try {
    demo = await (await fetch("demo.json")).json();
  } catch {
    return leave("The panel could not read demo.json, which says where the service is. Is it still running?");
  }
  offerDemo();
  route();
}

start();
