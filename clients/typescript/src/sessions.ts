/** Every call that a front end makes. */

import type { components, operations } from "./openapi.js";
import { isProblem, SessionsProblem } from "./problem.js";
import { requester, type CallOptions, type Content, type Options } from "./request.js";

type Schemas = components["schemas"];

export type UserId = string | number;
export type Session = Schemas["Session"];
export type LiveSession = Schemas["LiveSession"];
export type EndedSession = Schemas["EndedSession"];
export type OwnSession = Schemas["OwnSession"];
export type OwnEndedSession = Schemas["OwnEndedSession"];
export type CurrentSession = Schemas["CurrentSession"];
export type SignedIn = Schemas["SignedIn"];
export type Device = Schemas["SignIn"];
export type Summary = Schemas["Summary"];
export type EndedUser = Schemas["EndedUser"];

/** Which sessions of all users are searched. The filters hold together. */
export type Filter = Omit<NonNullable<operations["searchSessions"]["parameters"]["query"]>, "cursor" | "limit">;

/** A page of a list, and where the next one begins; undefined on the last page. */
export interface Page<S> {
  sessions: S[];
  next: string | undefined;
}

/** Which page. Pages have 50 sessions if no limit is given. */
export interface PageOptions extends CallOptions {
  cursor?: string | undefined;
  limit?: number | undefined;
}

/** How an ending is done. The receipt keeps the reason, of at most 256 characters. */
export interface EndOptions extends CallOptions {
  reason?: string | undefined;
}

/** A session that has ended. Somebody may have been quicker: then the receipt is theirs, and the reason is not stored. */
export interface Ended<S> {
  session: S;
  alreadyEnded: boolean;
}

/** Ended sessions too. */
const HISTORY = { include_inactive: true };
/** The most users in one summary. */
const SUMMARY_MAX = 50;
/** The most users whose sessions one request ends. */
const END_MAX = 100;
/** How often ending those who remain is tried without getting further. */
const END_TRIES = 3;

/** The calls of an application. */
export type SessionsClient = ReturnType<typeof sessionsClient>;

/** Makes the calls. Make it once for an application. */
export function sessionsClient(options: Options) {
  const request = requester(options);

  /** What the service answers, without the next page. */
  async function data<T>(method: "GET" | "POST" | "DELETE", path: string, content: Content, call: CallOptions): Promise<T> {
    return (await request<T>(method, path, content, call)).data;
  }

  async function page<S>(path: string, which: Content["query"], options: PageOptions): Promise<Page<S>> {
    const { cursor, limit, ...call } = options;
    const answer = await request<S[]>("GET", path, { query: { ...which, cursor, limit } }, call);
    return { sessions: answer.data, next: answer.next };
  }

  async function* walk<S>(path: string, which: Content["query"], call: PageOptions): AsyncGenerator<S, void, void> {
    let { cursor } = call;
    do {
      const { sessions, next } = await page<S>(path, which, { ...call, cursor });
      yield* sessions;
      cursor = next;
    } while (cursor !== undefined);
  }

  async function end<S>(path: string, { reason, ...call }: EndOptions): Promise<Ended<S>> {
    type Answer = Omit<Schemas["Ended"], "session"> & { session: S };
    const { message, session } = await data<Answer>("DELETE", path, { query: { reason } }, call);
    return { session, alreadyEnded: message === "The session had already ended" };
  }

  async function endUsers(users: readonly UserId[], body: object, call: CallOptions): Promise<EndedUser[]> {
    const content = { body: { ...body, user_ids: users } };
    return (await data<Schemas["EndedUsers"]>("POST", "/sessions/end", content, call)).users;
  }

  const admin = {
    /** The live sessions of a user, newest first. An empty list does not say that there is such a user. */
    list: (user: UserId, call: CallOptions = {}) => data<Session[]>("GET", userPath(user), {}, call),

    /** A page of the live and ended sessions of a user, the newest sign-in first. */
    historyPage: (user: UserId, call: PageOptions = {}) => page<Session>(userPath(user), HISTORY, call),

    /** The live and ended sessions of a user, one after the other. Pages are asked for as they are needed. */
    history: (user: UserId, call: PageOptions = {}) => walk<Session>(userPath(user), HISTORY, call),

    /**
     * A page of the live sessions of all users, the newest sign-in first. It may be short or empty and still have a next
     * one.
     */
    searchPage: (filter: Filter = {}, call: PageOptions = {}) => page<Session>("/sessions", filter, call),

    /** The live sessions of all users, one after the other. */
    search: (filter: Filter = {}, call: PageOptions = {}) => walk<Session>("/sessions", filter, call),

    /** One session, live or ended. */
    get: (user: UserId, session: string, call: CallOptions = {}) => data<Session>("GET", sessionPath(user, session), {}, call),

    /** How many live sessions users have, in the order asked. */
    async summary(users: readonly UserId[], call: CallOptions = {}): Promise<Summary[]> {
      const parts = chunks(users, SUMMARY_MAX).map((part) =>
        data<Summary[]>("GET", "/sessions/summary", { query: { user_id: part } }, call),
      );
      return (await Promise.all(parts)).flat();
    },

    /** Ends one session. */
    end: (user: UserId, session: string, call: EndOptions = {}) => end<EndedSession>(sessionPath(user, session), call),

    /**
     * Ends some sessions of a user, one after the other: these, and no other that began meanwhile. When one fails, those
     * before it have ended, and trying again is safe.
     */
    async endSome(user: UserId, sessions: readonly string[], call: EndOptions = {}): Promise<Ended<EndedSession>[]> {
      const ended = [];
      for (const session of sessions) ended.push(await admin.end(user, session, call));
      return ended;
    },

    /** The sessions that `endAll` would end now. */
    async previewEndAll(user: UserId, call: CallOptions = {}): Promise<Session[]> {
      return (await data<Schemas["EndedAll"]>("DELETE", userPath(user), { query: { dry_run: true } }, call)).sessions;
    },

    /** Ends whatever sessions a user has by then, and says which those were. */
    async endAll(user: UserId, { reason, ...call }: EndOptions = {}): Promise<Session[]> {
      return (await data<Schemas["EndedAll"]>("DELETE", userPath(user), { query: { reason } }, call)).sessions;
    },

    /** How many sessions of each user `endUsers` would end now. */
    async previewEndUsers(users: readonly UserId[], call: CallOptions = {}): Promise<EndedUser[]> {
      const parts = [];
      for (const part of chunks(users, END_MAX)) parts.push(await endUsers(part, { dry_run: true }, call));
      return parts.flat();
    },

    /**
     * Ends all sessions of many users, and says how many those were. When the service gets no further, the problem
     * tells who has been `ended` and who is `remaining`, of all of them.
     */
    async endUsers(users: readonly UserId[], { reason, ...call }: EndOptions = {}): Promise<EndedUser[]> {
      const ended: EndedUser[] = [];
      let remaining: readonly UserId[] = users;
      for (let tries = 1; remaining.length; ) {
        const [part, rest] = [remaining.slice(0, END_MAX), remaining.slice(END_MAX)];
        try {
          ended.push(...(await endUsers(part, { reason }, call)));
          remaining = rest;
        } catch (error) {
          if (!isProblem(error, "store_unavailable")) throw partly(error, ended, remaining);
          ended.push(...(error.body.ended ?? []));
          const left = error.body.remaining ?? part;
          // They come last, so that the next try reaches the others even if these fail again.
          remaining = [...rest, ...left];
          tries = left.length < part.length ? 1 : tries + 1;
          if (tries > END_TRIES || call.retries === 0 || options.retries === 0) throw partly(error, ended, remaining);
        }
      }
      return ended;
    },
  };

  const own = {
    /** The caller's live sessions, newest first, each with `is_current`. */
    list: (call: CallOptions = {}) => data<OwnSession[]>("GET", "/sessions/my-sessions", {}, call),

    /** A page of the caller's live and ended sessions. */
    historyPage: (call: PageOptions = {}) => page<OwnSession>("/sessions/my-sessions", HISTORY, call),

    /** The caller's live and ended sessions, one after the other. */
    history: (call: PageOptions = {}) => walk<OwnSession>("/sessions/my-sessions", HISTORY, call),

    /** The session of this device. Fails with `no_current_session` while it has none: `create` opens one. */
    current: (call: CallOptions = {}) => data<CurrentSession>("GET", "/sessions/current", {}, call),

    /** One of the caller's sessions, live or ended. */
    get: (session: string, call: CallOptions = {}) => data<OwnSession>("GET", ownPath(session), {}, call),

    /**
     * Opens the session of this device after signing in; a repeat answers with the same session. With
     * `too_many_sessions`, let the user choose from `problem.body.sessions` and pass the ids of those to `end`.
     */
    create: (device: Device & { end?: readonly string[] } = {}, call: CallOptions = {}) =>
      data<SignedIn>("POST", "/sessions/create", { body: device }, call),

    /** Ends one of the caller's sessions. */
    end: (session: string, call: EndOptions = {}) => end<OwnEndedSession>(ownPath(session), call),

    /** Ends the session of this device. Forget the token afterwards. */
    logOut: (call: EndOptions = {}) => end<OwnEndedSession>("/sessions/logout", call),

    /** Ends the caller's sessions on all other devices, and says which those were. */
    async logOutElsewhere({ reason, ...call }: EndOptions = {}): Promise<OwnEndedSession[]> {
      const query = { exclude_current: true, reason };
      return (await data<Schemas["LoggedOut"]>("DELETE", "/sessions/logout-all", { query }, call)).sessions;
    },

    /** Ends all of the caller's sessions, this one too. */
    async logOutEverywhere({ reason, ...call }: EndOptions = {}): Promise<OwnEndedSession[]> {
      return (await data<Schemas["LoggedOut"]>("DELETE", "/sessions/logout-all", { query: { reason } }, call)).sessions;
    },

    /** On how many devices the caller is signed in. */
    async countDevices(call: CallOptions = {}): Promise<number> {
      return (await data<Schemas["DeviceCount"]>("GET", "/sessions/active-devices-count", {}, call)).count;
    },

    /** Records that this device is in use. */
    updateActivity: (call: CallOptions = {}) => data<CurrentSession>("POST", "/sessions/update-activity", {}, call),
  };

  return { admin, own };
}

/** Whether to offer the sessions of `user`. One's own are on the profile page; the admin's routes refuse them. */
export function mayOpenSessions(me: { id: UserId; role: string }, user: { id: UserId }): boolean {
  return me.role === "admin" && String(me.id) !== String(user.id);
}

/** The same failure, which tells of all users. */
function partly(error: unknown, ended: EndedUser[], remaining: readonly UserId[]): unknown {
  if (!isProblem(error)) return error;
  const { code, message, status, requestId, retryAfter, maxAge } = error;
  const body = { ...error.body, ended, remaining: [...remaining] };
  return new SessionsProblem(code, message, { status, requestId, retryAfter, maxAge, body, cause: error });
}

function userPath(user: UserId): string {
  return `/sessions/user/${encodeURIComponent(user)}`;
}

function sessionPath(user: UserId, session: string): string {
  return `${userPath(user)}/session/${encodeURIComponent(session)}`;
}

function ownPath(session: string): string {
  return `/sessions/session/${encodeURIComponent(session)}`;
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size));
}
