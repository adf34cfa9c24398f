/** What can go wrong, by `code`. */

import type { components } from "./openapi.js";

type Schemas = components["schemas"];

/** A refusal of the service. */
export type ServiceCode = Schemas["Problem"]["code"] | "edge_only" | "key_unknown" | "keys_unavailable" | "too_many_sessions" | "user_locked";

/**
 * A failure that has no code of the service:
 *
 * - `throttled`: API Gateway takes no more requests at the moment (429).
 * - `gateway`: API Gateway or a proxy answered, not the service.
 * - `unreachable`: no answer came. Nothing is known about a write.
 * - `user_changed`: somebody else is signed in by now, or nobody. There is nobody to show it to.
 */
export type OwnCode = "throttled" | "gateway" | "unreachable" | "user_changed";

/** The value to branch on, and to translate by. A newer service may know more. */
export type Code = ServiceCode | OwnCode;

/** What an answer tells beside its code. */
export interface More {
  /** Who was ended and who was not, when many were to be ended. */
  store_unavailable: { ended?: Schemas["EndedUser"][]; remaining?: (string | number)[] };
  /** The live sessions, from which the user chooses those to end. */
  too_many_sessions: { sessions: Schemas["Session"][] };
  /** When the user may sign in again; `null` or missing if nobody knows. */
  user_locked: { until?: string | null };
}

type Body<C extends Code> = C extends keyof More ? More[C] : object;

/** Where a problem comes from. */
export interface Source {
  status?: number;
  requestId?: string | undefined;
  retryAfter?: number | undefined;
  maxAge?: number | undefined;
  body?: object;
  cause?: unknown;
}

/** A request that did not succeed. `message` is an English sentence, which need not be shown: translate `code`. */
export class SessionsProblem<C extends Code = Code> extends Error {
  override readonly name = "SessionsProblem";
  readonly code: C;
  /** The status of the answer; 0 if there is none. */
  readonly status: number;
  /** The id under which the service's log knows the request. */
  readonly requestId: string | undefined;
  /** How many seconds to wait before another try. */
  readonly retryAfter: number | undefined;
  /**
   * 0 if another token will not do: the identity provider has to authenticate the user again. Pass it on as `max_age`
   * (RFC 9470).
   */
  readonly maxAge: number | undefined;
  readonly body: Body<C>;

  constructor(code: C, message: string, { status = 0, requestId, retryAfter, maxAge, body = {}, cause }: Source = {}) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
    this.status = status;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
    this.maxAge = maxAge;
    this.body = body as Body<C>;
  }
}

/** Whether an error is a problem, and one with this code, if one is given. */
export function isProblem<C extends Code = Code>(error: unknown, code?: C): error is SessionsProblem<C> {
  return error instanceof SessionsProblem && (code === undefined || error.code === code);
}

/** An answer as a transport gives it. */
export interface RawAnswer {
  status: number;
  header: (name: string) => string | null;
  text: string;
}

/** The problem that an answer with an error is. */
export function problemOf({ status, header, text }: RawAnswer): SessionsProblem {
  const body = (parsed(text) ?? {}) as Partial<Schemas["Problem"]> & { message?: string };
  const code = body.code ?? (status === 429 ? "throttled" : "gateway");
  const message = body.detail ?? body.message ?? `The answer was ${status}`;
  const source = { status, body, requestId: body.request_id, retryAfter: seconds(header("retry-after")) };
  return new SessionsProblem(code, message, { ...source, maxAge: maxAge(header("www-authenticate")) });
}

/** The value of a text in JSON; undefined if it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** `Retry-After` in seconds, or as a date, which a proxy may send. */
function seconds(header: string | null): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const number = Number(header);
  const until = Number.isNaN(number) ? (Date.parse(header) - Date.now()) / 1000 : number;
  return Number.isNaN(until) ? undefined : Math.max(0, until);
}

function maxAge(challenge: string | null): number | undefined {
  const digits = /\bmax_age="?(\d+)"?/.exec(challenge ?? "")?.[1];
  return digits === undefined ? undefined : Number(digits);
}
