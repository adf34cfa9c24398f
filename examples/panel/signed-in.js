// The page of everybody who is signed in: it finds sessions by address, device and time, and ends those that are marked.

/** The sessions that are shown at a time. */
const PAGE = 50;
/** The most sessions that the service ends with one request. */
const END_MAX = 100;
/** The filters that look back from now, each with what the service calls it. */
const BACK = { signed_in_within: "signed_in_after", inactive_for: "inactive_since" };
const MILLISECONDS = { h: 3_600_000, d: 86_400_000 };

/** Makes the page with what the rest of the panel gives it. */
export function signedInPage(panel) {
  const { $, Problem, appendRows, ask, attempt, call, chosen, claims, common, describe, ending } = panel;
  const { explain, howEnded, item, joined, leave, paragraph, placeOf, say, sessionCount, shortDate, showEnding, span, timeAgo } = panel;

  /** The address of this page, with these filters. */
  const place = (filters) => `#/signed-in${String(filters) && `?${filters}`}`;

  /** What is asked of the service: times in the place of how long ago. */
  function search(filters) {
    const query = new URLSearchParams({ limit: PAGE });
    for (const [name, value] of filters) {
      const [, count, unit] = /^(\d+)([hd])$/.exec(value) ?? [];
      if (!BACK[name]) query.set(name, value);
      else if (count) query.set(BACK[name], new Date(Date.now() - count * MILLISECONDS[unit]).toISOString());
    }
    return `/sessions?${query}`;
  }

  /** The page with the filters of a fragment. */
  function page(fragment = "") {
    const filters = new URLSearchParams(fragment);
    for (const field of $("filter-form").elements) if (field.name) field.value = filters.get(field.name) ?? "";
    const of = { title: "Signed in", filters, found: [], marks: new Map(), over: new Map() };
    of.show = (signal) => begin(of, signal);
    of.end = () => endMarked(of);
    return of;
  }

  /** Searches from the newest session on. */
  async function begin(of, signal) {
    Object.assign(of, { found: [], next: search(of.filters), since: null });
    of.marks.clear();
    of.over.clear();
    $("content").replaceChildren(paragraph("Searching…", "state"));
    await readOn(of, signal);
  }

  /** Follows the pages, of which many may be empty, until there is something to read, nobody wants to wait, or the end. */
  async function readOn(of, signal) {
    const stop = new AbortController();
    const enough = of.found.length + PAGE;
    $("stop-search").onclick = () => stop.abort();
    $("load-more").hidden = true;
    $("stop-search").hidden = false;
    await attempt($("content"), signal, async () => {
      try {
        while (of.next && of.found.length < enough) {
          progress(of, "Searching… ");
          const { body, next, since } = await call("GET", of.next, { signal: AbortSignal.any([signal, stop.signal]) });
          add(of, body);
          Object.assign(of, { next, since });
        }
      } catch (problem) {
        if (signal.aborted || !(stop.signal.aborted || of.found.length)) throw problem;
        if (!stop.signal.aborted) return failed(of, problem);
      }
      stopped(of);
    });
    if (!signal.aborted) $("stop-search").hidden = true;
  }

  /** The rows that are there stay, and the search can go on where it failed. */
  function failed(of, problem) {
    if (problem.status === 401) return leave(problem.message);
    stopped(of);
    $("progress").replaceChildren(...explain(problem));
  }

  function stopped(of) {
    const count = of.found.length;
    if (!count) {
      const none = String(of.filters) ? "No session matches these filters." : "Nobody is signed in.";
      $("content").replaceChildren(paragraph(of.next ? "Nothing is found yet." : none, "state"));
    }
    $("load-more").hidden = !of.next;
    if (of.next) progress(of, "");
    else say($("progress"), "");
    offer(of);
  }

  /** How far the search is: it goes back in time. */
  function progress(of, begin) {
    const back = of.since ? `; all who signed in since ${shortDate(of.since)} are looked at` : "";
    say($("progress"), `${begin}${of.found.length} found${back}`);
  }

  function loadMore(of, signal) {
    const count = of.found.length;
    return readOn(of, signal).then(() => $("content").querySelectorAll("li.row")[count]?.focus());
  }

  // -------------------------------------------------------------- rows

  function add(of, sessions) {
    if (!of.found.length && sessions.length) {
      const list = Object.assign(document.createElement("ul"), { className: "rows" });
      $("content").replaceChildren(markAll(of), list);
    }
    of.found.push(...sessions);
    appendRows($("content"), sessions.map((session) => row(of, session)));
    if (sessions.length) offer(of);
  }

  function markAll(of) {
    const all = $("mark-all").content.firstElementChild.cloneNode(true);
    all.querySelector("input").onchange = ({ target }) => {
      for (const box of boxes()) box.checked = target.checked;
      const endable = of.found.filter((session) => !isOwn(session) && !of.over.has(session.id));
      of.marks = new Map(target.checked ? endable.map((session) => [session.id, session]) : []);
      offer(of);
    };
    return all;
  }

  const isOwn = ({ user_id: user }) => String(user) === String(claims().sub);

  const boxes = () => [...$("content").querySelectorAll("li.row input:not(:disabled)")];

  function row(of, session) {
    const node = common("found-row", session);
    node.tabIndex = -1;
    const [box, user] = [node.querySelector("input"), node.querySelector(".user")];
    user.textContent = `User ${session.user_id}`;
    user.href = placeOf(session.user_id);
    box.setAttribute("aria-label", `Mark ${session.device_name} of user ${session.user_id}, signed in ${shortDate(session.created_at)}`);
    // Others end an admin's own sessions; the page for one's own is My devices.
    box.disabled = isOwn(session);
    node.querySelector(".badge").hidden = !isOwn(session);
    node.querySelector(".last").replaceWith(timeAgo(session.last_activity));
    box.onchange = ({ target }) => {
      if (target.checked) of.marks.set(session.id, session);
      else of.marks.delete(session.id);
      offer(of);
    };
    return node;
  }

  /** Offers to end the sessions that are marked. */
  function offer(of) {
    const [count, all] = [of.marks.size, boxes().length];
    const shown = sessionCount(of.found.length);
    say($("summary"), count ? `${count} of ${shown} marked` : `${shown}${of.next ? " shown, there may be more" : ""}`);
    $("end-all").hidden = !count;
    $("end-all").textContent = `End ${sessionCount(count)}`;
    const box = $("content").querySelector(".mark-all input");
    if (!box) return;
    box.checked = count > 0 && count === all;
    box.indeterminate = count > 0 && count < all;
    box.disabled = !all;
  }

  // -------------------------------------------------------------- ending

  const named = ({ id, user_id }) => ({ user_id, session_id: id });

  async function end(sessions, rest) {
    return (await call("POST", "/sessions/end", { body: { sessions, ...rest } })).body.sessions;
  }

  /** Says of each marked session what would end, and ends them with one reason; who is left can be tried again. */
  function endMarked(of) {
    const marked = new Map(of.marks);
    let users = 0;
    let left = [...marked.values()].map(named);
    const results = [];
    ask({
      title: `End ${sessionCount(marked.size)}?`,
      text: "Looking up what will end…",
      confirm: "End sessions",
      wouldEnd: async () => {
        const all = [];
        for (let at = 0; at < left.length; at += END_MAX) {
          all.push(...(await end(left.slice(at, at + END_MAX), { dry_run: true })));
        }
        users = new Set(living(all).map(({ user_id: user }) => String(user))).size;
        return all;
      },
      item: (outcome) => (outcome.outcome === "would_end" ? ending(marked.get(outcome.session_id), true) : resultItem(of, outcome)),
      count: (list) => living(list).length,
      parts: (list) => living(list).map(({ session_id: id }) => id),
      fill: (count) => ({
        title: `End ${sessionCount(count)} of ${users === 1 ? "1 user" : `${users} users`}?`,
        text: "These are signed out at once:",
        confirm: `End ${sessionCount(count)}`,
      }),
      nothing: "All of these have ended already.",
      // The index of all users may still have them for a moment, so nothing is asked again.
      stays: true,
      perform: async (reason) => {
        while (left.length) {
          const [some, others] = [left.slice(0, END_MAX), left.slice(END_MAX)];
          try {
            keep(of, results, await end(some, reason ? { reason } : {}));
            left = others;
          } catch (problem) {
            if (!(problem instanceof Problem)) throw problem;
            keep(of, results, problem.ended ?? []);
            left = [...others, ...(problem.remaining ?? some)];
            if (!problem.remaining && left.length === marked.size) throw problem;
            showEnding(left.map(({ session_id: id }) => ending(marked.get(id), true)));
            const text = `These ${problem.remaining ? "are still" : "may still be"} signed in:`;
            describe({ title: "End the remaining sessions?", text, confirm: "Try again" });
            problem.message += ` (${sessionCount(results.length)} over, ${sessionCount(left.length)} left)`;
            throw problem;
          }
        }
        return told(results);
      },
    });
  }

  const living = (list) => list.filter(({ outcome }) => outcome === "would_end");

  /** Shows the result of each session in its row, which cannot be marked any more. */
  function keep(of, results, outcomes) {
    results.push(...outcomes);
    for (const outcome of outcomes) {
      of.marks.delete(outcome.session_id);
      of.over.set(outcome.session_id, outcome);
      const node = $("content").querySelector(`[data-key="${CSS.escape(outcome.session_id)}"]`);
      if (!node) continue;
      const box = node.querySelector("input");
      Object.assign(box, { checked: false, disabled: true });
      node.classList.add("over");
      node.querySelector(".result").replaceChildren(...result(outcome));
    }
    offer(of);
  }

  function result(outcome) {
    if (outcome.outcome === "not_found") return ["There is no such session any more."];
    const note = outcome.end_note ? [" (“", chosen(outcome.end_note), "”)"] : [];
    const before = outcome.outcome === "already_ended" ? ["Had ended already: "] : [];
    return [...before, howEnded(outcome), ...note, ", ", timeAgo(outcome.ended_at)];
  }

  function resultItem(of, outcome) {
    const session = of.found.find(({ id }) => id === outcome.session_id);
    const name = document.createElement("strong");
    name.append(chosen(session.device_name));
    const hint = span("", "hint");
    hint.append(`User ${outcome.user_id}: `, ...result(outcome));
    return item(name, hint);
  }

  function told(results) {
    const count = (outcome) => results.filter((each) => each.outcome === outcome).length;
    const before = count("already_ended") + count("not_found");
    const more = before ? ` ${before === 1 ? "1 had" : `${before} had`} ended already.` : "";
    return `${sessionCount(count("ended"))} ended.${more}`;
  }

  /** The links of addresses, for those who may search. */
  function addressLink(address) {
    const link = document.createElement("a");
    link.href = place(new URLSearchParams({ ip_address: address }));
    link.textContent = address;
    link.setAttribute("aria-label", `${address}, find everybody there`);
    return link;
  }

  function start() {
    $("filter-form").onsubmit = (event) => {
      event.preventDefault();
      const filters = new URLSearchParams([...new FormData(event.target)].filter(([, value]) => value.trim()));
      const address = filters.get("ip_address");
      if (address) filters.set("ip_address", address.trim());
      panel.go(place(filters));
    };
    $("clear-filters").onclick = () => panel.go(place(""));
    $("load-more").onclick = () => panel.whileOpen((of, signal) => loadMore(of, signal));
  }

  return { page, start, addressLink };
}
