/** For applications that have an axios instance. Import it from `sessions-client/axios`. */

import { asker, recovers, type Asker, type Auth } from "./auth.js";
import { problemOf, type RawAnswer } from "./problem.js";
import type { Transport } from "./request.js";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what axios gives to an interceptor has axios' types
type Interceptor = (given: any) => any;

/** What is needed of an axios instance. Its own types differ between modules and CommonJS. */
export interface Axios {
  request(config: object): Promise<unknown>;
  interceptors: {
    request: { use(onFulfilled: Interceptor): unknown };
    response: { use(onFulfilled: undefined, onRejected: Interceptor): unknown };
  };
}

interface AxiosConfig {
  headers: { set(name: string, value: string): unknown };
  asker?: Asker;
}

interface AxiosAnswer {
  status: number;
  headers: Record<string, unknown>;
  data: unknown;
}

/** What axios throws. */
type AxiosFailure = Error & { config?: AxiosConfig; response?: AxiosAnswer };

/**
 * Sends with an axios instance, through its interceptors. If they add the token and refresh it, leave `token` and
 * `refresh` out of `Auth`.
 */
export function throughAxios(http: Axios): Transport {
  return async ({ body, ...request }) => {
    try {
      return raw((await http.request({ ...request, data: body })) as AxiosAnswer);
    } catch (error) {
      const { response } = error as AxiosFailure;
      if (response) return raw(response);
      throw error;
    }
  };
}

/**
 * Makes an axios instance add the token, refresh it once after a 401, and sign out when the session has ended: for all
 * other services that the application calls. Instances and clients with the same `Auth` share one refresh.
 */
export function authenticate(http: Axios, auth: Auth): void {
  http.interceptors.request.use((config: AxiosConfig) => {
    // A repeat brings its asker along.
    config.asker ??= asker(auth);
    if (config.asker.token !== undefined) config.headers.set("Authorization", `Bearer ${config.asker.token}`);
    return config;
  });

  http.interceptors.response.use(undefined, async (error: AxiosFailure) => {
    const { config, response } = error;
    if (!config?.asker || response?.status !== 401) throw error;
    if (!(await recovers(auth, config.asker, problemOf(raw(response))))) throw error;
    return http.request({ ...config, asker: { ...asker(auth), refreshed: true } });
  });
}

function raw({ status, headers, data }: AxiosAnswer): RawAnswer {
  const header = (name: string) => {
    const value = headers[name];
    return typeof value === "string" ? value : null;
  };
  return { status, header, text: typeof data === "string" ? data : (JSON.stringify(data) ?? "") };
}
