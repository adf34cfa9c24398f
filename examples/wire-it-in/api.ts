/** Where the application makes its one client of the sessions. */

import { createContext, useContext } from "react";
import { sessionsClient, type Auth, type SessionsClient } from "sessions-client";

/** Who is signed in, as the rest of the application knows it. */
export interface Account {
  user: string | number;
  token: string;
}

/** Where the application keeps the account. It is replaced as a whole, so that user and token change together. */
export interface AccountStore {
  get(): Account | undefined;
  set(account: Account | undefined): void;
}

/** What the client has to know. `renew` asks the back end; it answers undefined if that refuses. */
export function authOf(
  account: AccountStore,
  renew: () => Promise<Account | undefined>,
  showSignIn: (reason: { code: string; authenticateAgain: boolean }) => void,
): Auth {
  return {
    user: () => account.get()?.user,
    token: () => account.get()?.token ?? "",
    async refresh() {
      const before = account.get()?.user;
      const fresh = await renew();
      // Whoever signed in meanwhile keeps their own account.
      if (fresh && account.get()?.user === before) account.set(fresh);
      return fresh !== undefined;
    },
    signOut({ code, maxAge }) {
      account.set(undefined);
      showSignIn({ code, authenticateAgain: maxAge === 0 });
    },
  };
}

/** Made once, outside of components. */
export function createApi(baseUrl: string, auth: Auth): SessionsClient {
  return sessionsClient({ baseUrl, auth });
}

/** The client and the user who is signed in, for the components. */
export const Sessions = createContext<{ api: SessionsClient; me: string | number } | undefined>(undefined);

export function useSessions() {
  const sessions = useContext(Sessions);
  if (!sessions) throw new Error("useSessions needs <Sessions value={{ api, me }}>");
  return sessions;
}
