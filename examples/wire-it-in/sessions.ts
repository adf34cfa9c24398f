/** The sessions API for a front end with axios. `openapi.ts` is generated from openapi.yaml. */

import axios, { type AxiosError, type AxiosInstance, type AxiosResponse } from "axios";
import type { components } from "./openapi";

export type Session = components["schemas"]["Session"];
export type EndedSession = components["schemas"]["EndedSession"];
export type Problem = components["schemas"]["Problem"];

/** What the application knows about tokens. */
export interface Auth {
  /** The id of the user who is signed in. It changes together with the token. */
  user(): string | number | undefined;
  /** The access token. */
  token(): string;
  /** Gets a new access token from the back end. False means that the back end refused. */
  refresh(): Promise<boolean>;
  /** Forgets the user and the tokens and shows the sign-in page, with the reason. Called once for a sign-in. */
  signOut(reason: string): void;
}

declare module "axios" {
  interface AxiosRequestConfig {
    /** Who asked. A request is never sent, or sent again, as another user. */
    user?: string | number | undefined;
    refreshed?: boolean;
    attempt?: number;
  }
}

const ATTEMPTS = 4;

/** An axios instance that adds the token and knows which refusals it can deal with itself. */
export function sessionsApi(baseURL: string, auth: Auth, wait = sleep): AxiosInstance {
  const http = axios.create({ baseURL });
  let refreshing: Promise<boolean> | undefined;
  let signedOut: string | undefined;

  const bearer = () => `Bearer ${auth.token()}`;
  const left = ({ config }: AxiosError) => auth.user() === undefined || config?.user !== auth.user();

  /** Whether there is a token to try again with. Requests that fail at the same time share one refresh. */
  async function refreshed(error: AxiosError): Promise<boolean> {
    const tokenIsNewer = error.config?.headers.get("Authorization") !== bearer();
    return tokenIsNewer || (refreshing ??= auth.refresh().finally(() => (refreshing = undefined)));
  }

  async function unauthorized(error: AxiosError): Promise<AxiosResponse> {
    const { code, detail } = problem(error);
    // The token is good, but it has no session yet. The caller of this request knows what to do.
    if (code === "no_current_session" || left(error)) throw error;
    const dead = code === "session_ended" || error.config?.refreshed;
    const fresh = !dead && (await refreshed(error));
    if (left(error)) throw error;
    if (fresh) return http({ ...error.config, refreshed: true });
    signOut(detail);
    throw error;
  }

  /** Several requests may fail for the same reason; the first says it. */
  function signOut(reason: string) {
    if (signedOut === bearer()) return;
    signedOut = bearer();
    auth.signOut(reason);
  }

  async function again(error: AxiosError): Promise<AxiosResponse> {
    const attempt = error.config?.attempt ?? 1;
    if (attempt === ATTEMPTS) throw error;
    const seconds = Number(error.response?.headers["retry-after"]) || 2 ** (attempt - 1);
    await wait(seconds * 1000);
    if (left(error)) throw error;
    return http({ ...error.config, attempt: attempt + 1 });
  }

  http.interceptors.request.use((request) => {
    if ("user" in request && request.user !== auth.user()) throw new axios.CanceledError("The user has changed");
    request.user = auth.user();
    request.headers.set("Authorization", bearer());
    return request;
  });
  http.interceptors.response.use(undefined, (error: AxiosError) => {
    switch (error.response?.status) {
      case 401:
        return unauthorized(error);
      case 429: // API Gateway throttles. It sends no Retry-After.
      case 503: // Nothing is confirmed. Whatever a front end sends here is safe to repeat.
        return again(error);
      default: // 403 and 409 among them: they are for the caller, and never a reason to sign out.
        throw error;
    }
  });
  return http;
}

/** What a failure says. API Gateway's own answers, and failures of the network, have no code. */
export function problem(error: unknown): Partial<Problem> & { detail: string } {
  const body: Partial<Problem> & { message?: string } = axios.isAxiosError(error) ? (error.response?.data ?? {}) : {};
  return { ...body, detail: body.detail ?? body.message ?? "The sessions cannot be reached" };
}

/** Whether to show the Sessions button. One's own sessions are on the profile page; the admin's routes refuse them. */
export function mayOpenSessions(me: { id: string | number; role: string }, user: { id: string | number }): boolean {
  return me.role === "admin" && String(me.id) !== String(user.id);
}

/** The live sessions of a user, newest first. */
export async function listSessions(http: AxiosInstance, userId: string | number): Promise<Session[]> {
  const { data } = await http.get<Session[]>(userPath(userId));
  return data;
}

/** Live and ended sessions, a page at a time. */
export async function* history(http: AxiosInstance, userId: string | number, limit = 50): AsyncGenerator<Session[]> {
  let url: string | undefined = `${userPath(userId)}?include_inactive=true&limit=${limit}`;
  while (url) {
    const page: AxiosResponse<Session[]> = await http.get<Session[]>(url);
    yield page.data;
    url = /<([^>]+)>; rel="next"/.exec(page.headers["link"] ?? "")?.[1];
  }
}

/** Ends one session. Ending it twice does no harm: the answer is the first receipt. */
export async function endSession(
  http: AxiosInstance,
  session: Pick<Session, "id" | "user_id">,
  reason?: string,
): Promise<EndedSession> {
  const url = `${userPath(session.user_id)}/session/${session.id}`;
  const { data } = await http.delete<components["schemas"]["Ended"]>(url, { params: { reason } });
  return data.session;
}

/** Signs the caller out on every other device, and says how many those were. */
export async function endOtherSessions(http: AxiosInstance): Promise<number> {
  const params = { exclude_current: true };
  const { data } = await http.delete<components["schemas"]["LoggedOut"]>("/sessions/logout-all", { params });
  return data.revoked;
}

function userPath(userId: string | number): string {
  return `/sessions/user/${encodeURIComponent(userId)}`;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
