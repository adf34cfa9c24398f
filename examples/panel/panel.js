// The panel: a client of the session service and of nothing else. Whatever the service says reaches the page as
// text, never as HTML.

const PAGE = 20;
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
/** Who is signed in: the token, and what ends the requests that were made with it. */
let signedIn = null;
/** Ends the requests of a view that has been left. */
let leaving = new AbortController();

/** Begins a sign-in, or with null ends one. What was asked for before is given up, and never sent with another token. */
function become(token) {
  signedIn?.over.abort();
  signedIn = token ? { token, over: new AbortController() } : null;
  if (token) sessionStorage.setItem("token", token);
  else sessionStorage.removeItem("token");
}

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
  const { token, over } = signedIn;
  const stop = AbortSignal.any([over.signal, ...(signal ? [signal] : [])]);
  for (const seconds of WAITS) {
    try {
      return await send(method, path, token, body, stop);
    } catch (problem) {
      if (problem.status !== 429) throw problem;
      await pause(problem.retryAfter || seconds, stop);
    }
  }
  return send(method, path, token, body, stop);
}

function pause(seconds, signal) {
  sayBusy(`There are too many requests at the moment. Trying again in ${seconds} s…`);
  const over = new Promise((done, fail) => {
    if (signal.aborted) fail(signal.reason);
    setTimeout(done, seconds * 1000);
    signal.addEventListener("abort", () => fail(signal.reason));
  });
  return over.finally(() => sayBusy(""));
}

function sayBusy(text) {
  for (const node of document.querySelectorAll(".busy")) node.textContent = text;
}

async function send(method, path, token, json, signal) {
  const type = json && { "Content-Type": "application/json" };
  let response, text;
  try {
    response = await fetch(demo.api + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...type },
      body: json && JSON.stringify(json),
      credentials: "omit",
      signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT), signal]),
    });
    text = await response.text();
  } catch (error) {
    if (signal.aborted) throw error;
    const did = method === "GET" ? "" : " Nothing is confirmed; ending a session twice does no harm.";
    throw new Problem(`The service at ${demo.api} does not answer.${did}`);
  }
  const body = parse(text);
  if (response.ok && body) return { body, next: nextPage(response.headers.get("Link")) };
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  throw new Problem(detailOf(response.status, body), { ...body, status: response.status, retryAfter });
}

/** Refusals whose `detail` speaks to a developer. */
const SAID = {
  own_sessions: "These are your own sessions. You find them under My devices.",
  bad_user_id: "This cannot be the ID of a user.",
  token_malformed: "This token cannot be read. Sign in again.",
  token_missing: "You are not signed in.",
  sid_required: "This token does not belong to a session. Sign in again.",
  no_current_session: "This token does not belong to a session. Sign in again.",
};

/** What the service says of a refusal; API Gateway's own answers have only a `message`. */
function detailOf(status, body) {
  if (SAID[body?.code]) return SAID[body.code];
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

/** The next page of a list with an ended session on it, and only those; null if there is none left. */
async function pageOfPast(path, signal) {
  while (path) {
    const { body, next } = await call("GET", path, { signal });
    const sessions = body.filter((session) => !session.is_active);
    if (sessions.length) return { sessions, next };
    path = next;
  }
  return null;
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
    user,
    title: `User ${user}`,
    list,
    one: (id) => `${list}/session/${encodeURIComponent(id)}`,
    all: list,
    allLabel: "End all",
    endLabel: () => "End",
    empty: `User ${user} is not signed in anywhere.`,
    registered: `User ${user} is known, but no session of theirs is stored.`,
    unknown: `No user with the ID ${user} is known here, and no session is stored. Check the ID.`,
    askOne: `End the session of user ${user} on `,
    // The service says what would end at this moment.
    wouldEnd: async () => (await call("DELETE", `${list}?dry_run=true`)).body.sessions,
    ask: (count) => `End ${sessionCount(count)} of user ${user}?`,
    confirm: (count) => `End ${sessionCount(count)}`,
    nothing: `User ${user} has no session to end.`,
    warning: "These are signed out at once, and so is a sign-in of that very moment:",
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
  askOne: "End your session on ",
  wouldEnd: async () => (await call("GET", mine.list)).body.filter((session) => !session.is_current),
  ask: (count) => `Sign out on ${count === 1 ? "1 other device" : `${count} other devices`}?`,
  confirm: () => "Sign out everywhere else",
  nothing: "You are signed in only on this device.",
  warning: "This device stays signed in. These are signed out at once, and so is a sign-in of that very moment:",
};

// ---------------------------------------------------------------- signing in

function signIn(token) {
  become(token);
  route();
}

/** Signs a demo user in as a back end does: with a token made for it, and a session opened with that. */
async function demoSignIn(label) {
  try {
    await loadDemo();
    become(demo.tokens.find((pick) => pick.label === label).token);
    await call("POST", "/sessions/create", { body: { device_fingerprint: browserId() } });
  } catch (problem) {
    if (problem instanceof Problem) leave(problem.message);
    return;
  }
  route();
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
  become(null);
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
    const part = signedIn.token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
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
  if (!signedIn) return leave($("sign-in-problem").textContent);
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

/**
 * What is open: whose sessions, what was ended here (a receipt by its id), which users are marked, how many ended
 * sessions are shown, the answers that are drawn, and whether they are being asked for again without anybody's asking.
 */
let view = newView(everybody);

function newView(of) {
  return { of, endedHere: new Map(), marks: new Set(), past: 0, drawn: {}, quiet: false };
}

function open(of, sections) {
  view = newView(of);
  show(...sections);
  document.title = `${of.title} – Sessions`;
  $("view-title").textContent = of.title;
  for (const id of ["notice", "summary", "content", "history"]) $(id).replaceChildren();
  $("end-all").hidden = $("unmarked").hidden = $("older").hidden = true;
  $("past").hidden = of === everybody;
  $("view-title").focus();
  return refresh();
}

/** Asks again. What is shown stays until the answer is there; `quiet` is for when nobody asked for it. */
async function refresh({ quiet = false } = {}) {
  // An older answer must not replace a newer one.
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  view.quiet = quiet;
  if (!quiet && $("content").querySelector("li, table")) say($("summary"), "Refreshing…");
  await (view.of === everybody ? showUsers(signal) : showSessions(view.of, signal));
  if (!signal.aborted) view.quiet = false;
}

async function showSessions(of, signal) {
  const past = pageOfPast(`${of.list}?include_inactive=true&limit=${PAGE}`, signal);
  const [shown] = await Promise.all([showDevices(of, past, signal), showHistory(past, signal)]);
  // One failure is enough to read; the history's would be the same.
  if (!signal.aborted) $("past").hidden = !shown;
}

/** Somebody is back at this page, where the lists may be old by now. */
function refreshQuietly() {
  const atList = signedIn && !$("view").hidden && !$("dialog").open;
  if (atList && document.visibilityState === "visible") refresh({ quiet: true });
}

async function showUsers(signal) {
  wait($("content"), "Loading the users…");
  await attempt($("content"), signal, async () => {
    const users = await summaries(everybody.users(), signal);
    view.marks = new Set(users.map(({ user_id: user }) => String(user)).filter((user) => view.marks.has(user)));
    draw($("content"), [users, [...view.marks]], () => {
      if (users.length) $("content").replaceChildren(usersTable(users));
      else $("content").replaceChildren(paragraph(everybody.empty, "state"));
    });
    if (users.length) offerMarked();
    else say($("summary"), "");
  });
}

/** The devices that are signed in. Returns whether there is a history to show below. */
async function showDevices(of, past, signal) {
  wait($("content"), "Loading the devices…");
  let known = true;
  const shown = await attempt($("content"), signal, async () => {
    const { body: sessions } = await call("GET", of.list, { signal });
    // No session may also mean that there is no such user, and a wrong ID must not look like a signed-out user.
    known = of.own || sessions.length > 0 || view.endedHere.size > 0 || (await past) !== null;
    const marked = !of.own || sessions.some((session) => session.is_current);
    const endable = sessions.filter((session) => !session.is_current).length;
    $("end-all").textContent = of.allLabel;
    $("end-all").hidden = !marked || !endable;
    $("unmarked").hidden = marked || !sessions.length;
    sessions.sort((a, b) => Boolean(b.is_current) - Boolean(a.is_current));
    const empty = known ? of.empty : await nothingStored(of, signal);
    draw($("content"), [empty, sessions], () => {
      const names = endNames(of, sessions);
      fill($("content"), sessions.map((session, at) => deviceRow(of, session, names[at])), empty);
    });
    say($("summary"), known ? `${sessions.length === 1 ? "1 device" : `${sessions.length} devices`} signed in` : "");
  });
  return shown && known;
}

/** What to say of a user of whom no session is stored, neither a live one nor one that has ended. */
async function nothingStored({ user, registered, unknown }, signal) {
  const [{ known }] = await summaries([user], signal);
  return known ? registered : unknown;
}

/** What has ended: first what was ended here, because that may have a place far down, then a page after the other. */
async function showHistory(first, signal) {
  wait($("history"), "Loading the history…");
  await attempt($("history"), signal, async () => {
    let page = await first;
    const sessions = page?.sessions ?? [];
    while (page?.next && sessions.length < view.past) {
      page = await pageOfPast(page.next, signal);
      sessions.push(...(page?.sessions ?? []));
    }
    view.past = sessions.length;
    const here = [...view.endedHere.values()].reverse();
    const all = [...here, ...sessions.filter(elsewhere)];
    draw($("history"), all, () => fill($("history"), all.map(historyRow), "Nothing has ended yet."));
    $("more-note").textContent = "";
    $("order").textContent = here.length
      ? "What was ended here comes first, then the newest sign-in"
      : "Ended sessions, the newest sign-in first";
    await lookAhead(page, signal);
  });
}

const elsewhere = ({ id }) => !view.endedHere.has(id);

/** Offers what follows a page, if anything does. */
async function lookAhead(page, signal) {
  const ahead = page?.next ? await pageOfPast(page.next, signal) : null;
  $("older").hidden = !ahead;
  $("older").onclick = () => showOlder(ahead);
}

async function showOlder(page) {
  const { signal } = leaving;
  const rows = page.sessions.filter(elsewhere).map(historyRow);
  view.past += page.sessions.length;
  appendRows($("history"), rows);
  rows[0]?.focus();
  $("more-note").textContent = `${rows.length} more shown`;
  $("older").hidden = true;
  try {
    await lookAhead(page, signal);
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.status === 401) return leave(problem.message);
    $("more-note").replaceChildren(...explain(problem));
  }
}

/** Shows that an answer is awaited; in the place of an older answer only once the new one is there. */
function wait(into, text) {
  if (!view.quiet) into.setAttribute("aria-busy", "true");
  if (into.querySelector("li, table")) return;
  into.replaceChildren(paragraph(text, "state"));
  delete view.drawn[into.id];
}

/** Draws an answer unless it is drawn already. The focus stays on the same control of the same row. */
function draw(into, answer, work) {
  const drawn = JSON.stringify(answer);
  if (view.drawn[into.id] === drawn) return;
  const before = into.contains(document.activeElement) ? document.activeElement : null;
  const key = before?.closest("[data-key]")?.dataset.key;
  work();
  view.drawn[into.id] = drawn;
  if (!before) return;
  const row = into.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const same = before.matches("[data-key]") ? row : row?.querySelector(before.localName);
  (same ?? $("view-title")).focus();
}

/** Says it in a place that is read out, unless it stands there already. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
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
    else {
      into.replaceChildren(failure(problem));
      delete view.drawn[into.id];
      say($("summary"), "");
      $("end-all").hidden = true;
    }
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
    box.append(button("Try again", () => refresh()));
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
    view.marks = new Set(boxes().flatMap(({ checked, value }) => (checked ? [value] : [])));
    offerMarked();
  };
  return table;
}

function userRow({ user_id: user, known, active, last_activity: last }) {
  const row = $("user-row").content.firstElementChild.cloneNode(true);
  const [box, link] = [row.querySelector("input"), row.querySelector("a")];
  row.dataset.key = box.value = user;
  box.checked = view.marks.has(box.value);
  box.setAttribute("aria-label", `Mark user ${user}`);
  link.textContent = `User ${user}`;
  link.href = placeOf(user);
  row.querySelector(".active").textContent = known ? active : "unknown ID";
  if (last) row.querySelector(".last").replaceChildren(timeAgo(last));
  return row;
}

const boxes = () => [...$("content").querySelectorAll("tbody input")];

/** Offers to end the sessions of the users who are marked. */
function offerMarked() {
  const [count, known] = [view.marks.size, boxes().length];
  const hint = `${userCount(known)}; mark some to end their sessions`;
  say($("summary"), count ? `${count} of ${userCount(known)} marked` : hint);
  $("end-all").hidden = !count;
  $("end-all").textContent = `End sessions of ${userCount(count)}`;
  const all = $("content").querySelector(".all");
  all.checked = count === known;
  all.indeterminate = count > 0 && count < known;
}

/** The name of each End button. Sessions that are alike are told apart by the minute of the sign-in, or the second. */
function endNames(of, sessions) {
  const names = (format) =>
    sessions.map((session) => {
      const since = format.format(new Date(session.created_at));
      return `${of.endLabel(session)}: ${session.device_name}, ${session.ip_address}, signed in ${since}`;
    });
  const fine = names(exact);
  return names(short).map((name, at, all) => (all.indexOf(name) === all.lastIndexOf(name) ? name : fine[at]));
}

function deviceRow(of, session, name) {
  const row = common("device-row", session);
  fillWhat(row.querySelector(".what"), session);
  row.querySelector(".badge").hidden = !session.is_current;
  setTime(row.querySelector(".last"), session.last_activity);
  setTime(row.querySelector(".expires"), session.expires_at);
  const end = row.querySelector("button");
  end.textContent = of.endLabel(session);
  end.setAttribute("aria-label", name);
  end.onclick = () => endOne(of, session);
  return row;
}

/** Browser and system, as far as the name does not say them. */
function fillWhat(node, { device_name: name, browser, os }) {
  const more = [browser, os].filter((part) => part !== "Unknown" && !name.includes(part));
  node.replaceChildren(...joined(more.map(chosen), " · "));
  node.hidden = !more.length;
}

/** The address, and its place if that is known. */
function where({ ip_address: address, location }) {
  return joined(location ? [address, chosen(location)] : [address], ", ");
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
  row.dataset.key = session.id;
  const [shape, label] = kindOf(session);
  row.querySelector("use").setAttribute("href", `#${shape}`);
  row.querySelector(".icon").setAttribute("aria-label", label);
  row.querySelector("bdi").textContent = session.device_name;
  row.querySelector(".ip").replaceChildren(...where(session));
  row.querySelector(".from").hidden = !hasMoved(session);
  row.querySelector(".from").textContent = `signed in from ${session.signed_in_ip}`;
  setTime(row.querySelector(".since"), session.created_at);
  return row;
}

const hasMoved = ({ ip_address: now, signed_in_ip: then }) => Boolean(then) && then !== now;

/** Which icon a device has, and what it is called. The service tells only mobile devices from others. */
function kindOf({ device_name: name, device_type: type, browser, os }) {
  const words = `${name} ${os}`;
  if (/\bTV\b|tvOS|Tizen|webOS|Roku|BRAVIA/.test(words)) return ["television", "Television"];
  if (/iPad|tablet/i.test(words)) return ["tablet", "Tablet"];
  if (type === "mobile") return ["phone", "Phone"];
  if (os !== "Unknown") return ["computer", "Computer"];
  return ["app", browser === "Unknown" ? "Device" : "App"];
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
  logged_out_at_provider: () => "Signed out at the identity provider",
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
    title: leaves ? "Sign out on this device?" : [of.askOne, chosen(session.device_name), "?"],
    text: leaves ? "You will have to sign in again." : "It is signed out at once.",
    confirm: leaves ? "Sign out" : "End session",
    wouldEnd: async () => [session],
    perform: async (reason) => {
      const { body } = await call("DELETE", withReason(of.one(session.id), reason));
      if (leaves) return signOut("You are signed out on this device.");
      view.endedHere.set(session.id, body.session);
      const device = chosen(session.device_name);
      return isMine(body, reason) ? [device, " is signed out."] : [device, ...endedBefore(body.session, reason)];
    },
  });
}

/** Whether the receipt is that of this request. Whoever asks twice, because an answer was lost, ended it all the same. */
function isMine({ message, session: { ended_by: by, end_note: note } }, reason) {
  return message !== "The session had already ended" || (String(by) === String(claims().sub) && (note ?? "") === reason);
}

function endedBefore(session, reason) {
  const note = session.end_note ? [" (“", chosen(session.end_note), "”)"] : [];
  const kept = reason ? " The reason that you gave is not stored." : "";
  return [" had ended already: ", howEnded(session), ...note, ", ", timeAgo(session.ended_at), ".", kept];
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
      for (const session of body.sessions) view.endedHere.set(session.id, session);
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
    // Only how many sessions a user has is known of them.
    parts: (list) => list.flatMap(({ user_id: user, revoked }) => Array.from({ length: revoked }, (_, at) => `${user} ${at}`)),
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
          if (!(problem instanceof Problem)) throw problem;
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
      view.marks.clear();
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
  // The rows must not change under the question, or the focus could not go back to where it was.
  if (view.quiet) {
    leaving.abort();
    leaving = new AbortController();
    view.quiet = false;
  }
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
    const list = await question.wouldEnd();
    if (asked === question) propose(question, list);
  });
}

/** Says what will end, and lets it be confirmed if that is anything. */
function propose(question, list) {
  const { item = ending, count = ({ length }) => length, parts = (all) => all.map(({ id }) => id) } = question;
  const sessions = count(list);
  question.proposed = new Set(parts(list));
  question.grew = (now) => parts(now).filter((part) => !question.proposed.has(part)).length;
  if (question.fill) describe(sessions ? question.fill(sessions) : { ...question, text: question.nothing });
  showEnding(list.map(item));
  ready(sessions > 0);
}

/** Whether to stop: looks again before anything ends, and asks again if it would be more than what was confirmed. */
async function hasGrown(question) {
  if (!question.fill) return false;
  const now = await question.wouldEnd();
  // Whoever closed the question meanwhile does not want it.
  if (asked !== question || !$("dialog").open) return true;
  const more = question.grew(now);
  if (!more) return false;
  propose(question, now);
  $("cancel").focus();
  $("dialog-text").prepend(`${more === 1 ? "1 session has" : `${more} sessions have`} begun since you looked. `);
  return true;
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
  ready(false);
  $("dialog-problem").textContent = "";
  await inDialog(question, async () => {
    const reason = $("reason").value.trim();
    if (await hasGrown(question)) return;
    question.sent = true;
    const outcome = await question.perform(reason);
    if (!signedIn) return;
    if (asked === question) done(outcome);
    await refresh();
  });
}

async function inDialog(question, work) {
  try {
    await work();
  } catch (problem) {
    // Whoever was signed in has left.
    if (problem.name === "AbortError") return;
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
  const from = hasMoved(session) ? ` from ${session.signed_in_ip}` : "";
  const hint = span(`${session.ip_address}, signed in${from} `, "hint");
  hint.append(timeAgo(session.created_at), ", active ", timeAgo(session.last_activity));
  return item(name, hint);
}

function userEnding({ user_id: user, revoked }) {
  const name = document.createElement("strong");
  name.textContent = `User ${user}`;
  return item(name, span(revoked ? sessionCount(revoked) : "no session", "hint"));
}

// ---------------------------------------------------------------- times

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
// Dates as the browser's user writes them. The words around them are English.
const short = new Intl.DateTimeFormat(navigator.languages, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(navigator.languages, { dateStyle: "medium", timeStyle: "long" });
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

/** A tab that the browser opens by itself does not get the token; one that the page opens does. */
function openBeside(event) {
  const link = event.target.closest("a[href^='#/']");
  if (!link || !(event.ctrlKey || event.metaKey || event.button === 1)) return;
  event.preventDefault();
  window.open(link.href);
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
  $("end-all").onclick = () => (view.of === everybody ? endMarked([...view.marks]) : endAll(view.of));
  $("cancel").onclick = () => $("dialog").close();
  addEventListener("hashchange", route);
  addEventListener("keydown", ignoreHeldEnter);
  addEventListener("click", openBeside);
  addEventListener("auxclick", openBeside);
  addEventListener("focus", refreshQuietly);
  document.addEventListener("visibilitychange", refreshQuietly);
  setInterval(updateTimes, 30_000);
  try {
    await loadDemo();
  } catch (problem) {
    return leave(problem.message);
  }
  offerDemo();
  become(sessionStorage.getItem("token"));
  route();
}

start();
