/** One request: sent, repeated where that helps, and read. */

import { asker, hasLeft, recovers, type Asker, type Auth } from "./auth.js";
import { isProblem, parsed, problemOf, SessionsProblem, type RawAnswer } from "./problem.js";

export type Method = "GET" | "POST" | "DELETE";

/** A request as a transport sends it. */
export interface RawRequest {
  method: Method;
  url: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
}

/** Sends a request. It fails only if there is no answer. */
export type Transport = (request: RawRequest) => Promise<RawAnswer>;

/** How to reach the service, and who asks. */
export interface Options {
  /** Where the service is, such as `https://sessions.example.com`, or a path of a proxy. */
  baseUrl: string;
  auth: Auth;
  /** What sends: fetch, if nothing else is given. `sessions-client/axios` has the one for axios. */
  transport?: Transport;
  /**
   * How often a request is repeated after 429 and 503; 3 if it is not given. Everything here is safe to repeat. If
   * TanStack Query repeats as well, they multiply: switch one of them off.
   */
  retries?: number;
  /** How many milliseconds an answer may take; 30,000 if it is not given. */
  timeout?: number;
  /** Waits for so many milliseconds. For tests. */
  wait?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the request and the waiting for another try. */
  signal?: AbortSignal | undefined;
  /** How often this call is repeated; 0 for never. */
  retries?: number | undefined;
}

/** What a call sends. A parameter that is undefined is left out; a list is repeated, once for each value. */
export interface Content {
  query?: Record<string, string | number | boolean | readonly (string | number)[] | undefined>;
  body?: object;
}

/** An answer that was read. */
export interface Answer<T> {
  data: T;
  /** Where the next page begins; undefined on the last one. */
  next: string | undefined;
}

const RETRIES = 3;
const TIMEOUT = 30_000;
/** Nobody waits longer than this before the screen. */
const LONGEST_WAIT = 30;
/** How long a new key takes to be known, if the service does not say it. */
const KEY_WAIT = 10;

/** Makes the function through which all calls go. */
export function requester(options: Options) {
  const { auth, transport = throughFetch(), wait = sleep, timeout = TIMEOUT } = options;

  async function send(asked: Asker, method: Method, path: string, content: Content, signal?: AbortSignal): Promise<RawAnswer> {
    const session = auth.session?.();
    const limit = AbortSignal.timeout(timeout);
    const request: RawRequest = {
      method,
      url: options.baseUrl.replace(/\/$/, "") + path + queryOf(content.query),
      headers: {
        ...(asked.token === undefined ? {} : { Authorization: `Bearer ${asked.token}` }),
        ...(session === undefined ? {} : { "X-Session-Id": session }),
        ...(content.body ? { "Content-Type": "application/json" } : {}),
      },
      ...(content.body ? { body: JSON.stringify(content.body) } : {}),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    };
    try {
      return await transport(request);
    } catch (cause) {
      signal?.throwIfAborted();
      throw new SessionsProblem("unreachable", "No answer came from the service", { cause });
    }
  }

  /** Whether to send it again, once this has waited for what it takes. */
  async function again(asked: Asker, problem: SessionsProblem, repeats: number, call: CallOptions): Promise<boolean> {
    const waitFor = async (seconds: number) => {
      if (seconds > LONGEST_WAIT) return false;
      await wait(seconds * 1000, call.signal);
      return !hasLeft(auth, asked);
    };
    if (problem.code === "key_unknown") return repeats === 0 && waitFor(problem.retryAfter ?? KEY_WAIT);
    if (problem.status === 401) return recovers(auth, asked, problem);
    if (problem.status !== 429 && problem.status !== 503) return false;
    // What was done of it is in the answer, so only the caller can go on.
    if ("remaining" in problem.body) return false;
    if (repeats >= (call.retries ?? options.retries ?? RETRIES)) return false;
    return waitFor(problem.retryAfter ?? 2 ** repeats);
  }

  return async function request<T>(
    method: Method,
    path: string,
    content: Content = {},
    call: CallOptions = {},
  ): Promise<Answer<T>> {
    const first = asker(auth);
    if (first.user === undefined) throw new SessionsProblem("user_changed", "Nobody is signed in");
    let asked = first;
    for (let repeats = 0; ; repeats += 1) {
      try {
        const answer = await send(asked, method, path, content, call.signal);
        if (answer.status >= 400) throw problemOf(answer);
        if (hasLeft(auth, first)) throw new SessionsProblem("user_changed", "Another user is signed in by now");
        return read<T>(answer);
      } catch (error) {
        if (!isProblem(error) || !(await again(asked, error, repeats, call))) throw error;
        asked = { ...asker(auth), refreshed: asked.refreshed || error.status === 401 };
      }
    }
  };
}

function read<T>(answer: RawAnswer): Answer<T> {
  const data = parsed(answer.text);
  if (data === undefined) throw new SessionsProblem("gateway", "The answer is not the service's", { status: answer.status });
  const link = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.header("link") ?? "")?.[1];
  // Only the cursor counts: a proxy may know the service under another path.
  const next = link === undefined ? undefined : new URLSearchParams(link.split("?")[1]).get("cursor");
  return { data: data as T, next: next ?? undefined };
}

function queryOf(query: Content["query"] = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((each) => [name, String(each)]),
  );
  return pairs.length ? `?${new URLSearchParams(pairs).toString()}` : "";
}

/** Sends with fetch, or with a function like it. */
export function throughFetch(fetch: typeof globalThis.fetch = globalThis.fetch): Transport {
  return async ({ url, ...request }) => {
    const response = await fetch(url, { ...request, credentials: "omit" });
    return { status: response.status, header: (name) => response.headers.get(name), text: await response.text() };
  };
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done, fail) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      fail(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      done();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
