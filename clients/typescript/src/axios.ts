/** For applications that have an axios instance. Import it from `sessions-client/axios`. */

import type { AxiosError, AxiosInstance, AxiosResponse, InternalAxiosRequestConfig } from "axios";
import { asker, recovers, type Asker, type Auth } from "./auth.js";
import { problemOf, type RawAnswer } from "./problem.js";
import type { Transport } from "./request.js";

/**
 * Sends with an axios instance, through its interceptors. If they add the token and refresh it, leave `token` and
 * `refresh` out of `Auth`.
 */
export function throughAxios(http: AxiosInstance): Transport {
  return async ({ body, ...request }) => {
    try {
      return raw(await http.request<unknown>({ ...request, data: body }));
    } catch (error) {
      const { response } = error as AxiosError;
      if (response) return raw(response);
      throw error;
    }
  };
}

/**
 * Makes an axios instance add the token, refresh it once after a 401, and sign out when the session has ended: for all
 * other services that the application calls. Instances and clients with the same `Auth` share one refresh.
 */
export function authenticate(http: AxiosInstance, auth: Auth): void {
  http.interceptors.request.use((config: Config) => {
    // A repeat brings its asker along.
    config.asker ??= asker(auth);
    if (config.asker.token !== undefined) config.headers.set("Authorization", `Bearer ${config.asker.token}`);
    return config;
  });

  http.interceptors.response.use(undefined, async (error: AxiosError) => {
    const config: Config | undefined = error.config;
    if (!config?.asker || error.response?.status !== 401) throw error;
    if (!(await recovers(auth, config.asker, problemOf(raw(error.response))))) throw error;
    return http.request<unknown>({ ...config, asker: { ...asker(auth), refreshed: true } } as Config);
  });
}

type Config = InternalAxiosRequestConfig & { asker?: Asker };

function raw({ status, headers, data }: AxiosResponse<unknown>): RawAnswer {
  const header = (name: string) => {
    const value: unknown = headers[name];
    return typeof value === "string" ? value : null;
  };
  return { status, header, text: typeof data === "string" ? data : (JSON.stringify(data) ?? "") };
}
