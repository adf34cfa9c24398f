/** Tokens: whose they are, when they are refreshed, and when the user is out. */

import { SessionsProblem, type Code } from "./problem.js";

/**
 * What the application knows about who is signed in. Give the same object to every client and axios instance: they
 * then share one refresh, and sign out once.
 */
export interface Auth {
  /** The id of the user who is signed in; undefined if nobody is. It changes together with the token. */
  user(): string | number | undefined;
  /** The access token. Leave it out if your axios instance adds it. */
  token?(): string;
  /**
   * Gets a new access token. False means that it was refused; throw if it could not be asked for. Leave it out if your
   * axios instance does it.
   */
  refresh?(): Promise<boolean>;
  /**
   * Forgets the user and the token and shows the sign-in page, with the reason. Called once for a sign-in. With
   * `problem.maxAge` the identity provider must authenticate again: sign out there too, and ask with `max_age`.
   */
  signOut?(problem: SessionsProblem): void;
  /** The id of this device's session, for tokens that carry none. */
  session?(): string | undefined;
}

/** Who made a request, and with what. It is never sent, or sent again, for anybody else. */
export interface Asker {
  user: string | number | undefined;
  token: string | undefined;
  /** Whether it was refused once already, and sent again with a fresh token. */
  refreshed: boolean;
}

interface State {
  refreshing?: { user: Asker["user"]; done: Promise<boolean> };
  /** The token of the sign-in that is over. */
  signedOut?: string | number;
}

/** What all clients with the same `Auth` share. */
const states = new WeakMap<Auth, State>();

/** No fresh token helps. */
const OVER: readonly Code[] = ["session_ended", "user_locked"];

/** Refusals that say nothing against who is signed in: the caller, or a second try, deals with them. */
const NOT_OURS: readonly Code[] = ["no_current_session", "key_unknown"];

/** Who is asking now. */
export function asker(auth: Auth): Asker {
  return { user: auth.user(), token: auth.token?.(), refreshed: false };
}

/** Whether somebody else is signed in by now, or nobody. */
export function hasLeft(auth: Auth, { user }: Asker): boolean {
  return auth.user() === undefined || String(auth.user()) !== String(user);
}

/** After a 401: whether the request may be sent again. If not, the user is signed out, unless the caller can go on. */
export async function recovers(auth: Auth, asked: Asker, problem: SessionsProblem): Promise<boolean> {
  if (NOT_OURS.includes(problem.code) || hasLeft(auth, asked)) return false;
  const fresh = !OVER.includes(problem.code) && !asked.refreshed && (await hasFreshToken(auth, asked));
  if (hasLeft(auth, asked)) return false;
  if (!fresh) signOut(auth, asked, problem);
  return fresh;
}

/** Requests that are refused at the same time share one refresh, whichever client they come from. */
async function hasFreshToken(auth: Auth, { user, token }: Asker): Promise<boolean> {
  if (!auth.refresh) return false;
  if (auth.token?.() !== token) return true;
  const state = stateOf(auth);
  if (state.refreshing?.user !== user) {
    const done = auth.refresh().finally(() => {
      if (state.refreshing?.done === done) delete state.refreshing;
    });
    state.refreshing = { user, done };
  }
  return state.refreshing?.done ?? false;
}

/** Several requests may fail for the same reason; the first one says it. */
function signOut(auth: Auth, { user, token }: Asker, problem: SessionsProblem): void {
  const state = stateOf(auth);
  const over = token ?? user;
  if (over === undefined || state.signedOut === over) return;
  state.signedOut = over;
  auth.signOut?.(problem);
}

function stateOf(auth: Auth): State {
  const state = states.get(auth) ?? {};
  states.set(auth, state);
  return state;
}
