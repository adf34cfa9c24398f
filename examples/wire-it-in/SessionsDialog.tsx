import type { AxiosInstance } from "axios";
import { useEffect, useRef, useState } from "react";
import { endSession, listSessions, problem, type Session } from "./sessions";

interface Props {
  http: AxiosInstance;
  userId: string | number;
}

/** The live sessions of a user, each with a button that ends it. */
export function SessionsDialog(props: Props) {
  // Another user is another dialog: the sessions and failures of one are never shown for the next.
  return <SessionsOfUser key={String(props.userId)} {...props} />;
}

function SessionsOfUser({ http, userId }: Props) {
  const top = useRef<HTMLElement>(null);
  const [sessions, setSessions] = useState<Session[]>();
  const [failure, setFailure] = useState<string>();

  useEffect(() => {
    let open = true;
    listSessions(http, userId).then(
      (found) => open && setSessions(found),
      (error: unknown) => open && setFailure(shown(error)),
    );
    return () => {
      open = false;
    };
  }, [http, userId]);

  async function end(session: Session) {
    setFailure(undefined);
    try {
      await endSession(http, session);
      // The button that has the focus goes with its row.
      top.current?.focus();
      setSessions((listed) => listed?.filter(({ id }) => id !== session.id));
    } catch (error) {
      setFailure(shown(error));
    }
  }

  return (
    <section ref={top} tabIndex={-1} aria-label="Sessions">
      {failure && <p role="alert">{failure}</p>}
      {sessions?.length === 0 && <p>This user is not signed in anywhere.</p>}
      <ul>
        {sessions?.map((session) => (
          <li key={session.id}>
            {/* The client chose these names, so they must not change the direction of the text around them. */}
            <bdi>{session.device_name}</bdi>, <bdi>{session.browser}</bdi>, {session.ip_address}, last active{" "}
            {new Date(session.last_activity).toLocaleString()}
            <button onClick={() => end(session)}>End</button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function shown(error: unknown): string {
  const { detail, request_id } = problem(error);
  return request_id ? `${detail} (request ${request_id})` : detail;
}
