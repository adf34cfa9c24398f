//! What DynamoDB's TTL deletes, and when. The embedded engine deletes it by its own clock.

use crate::support::*;
use chrono::TimeDelta;
use dynoxide::Database;
use dynoxide::storage_backend::ManualClock;
use sessions::session::SessionId;
use tokio::net::TcpListener;

const DAY: i64 = 24 * 3600;

/// A database that a test can sweep, and the clock that it sweeps by.
async fn swept() -> (Table, Database, ManualClock) {
    let clock = ManualClock::new(0);
    let engine = Database::memory_with_clock(clock.arc()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let database = engine::serve(listener, engine.clone()).unwrap();
    assert!(engine::create_table(&database.client(), &database.table).await.unwrap());
    (database, engine, clock)
}

#[tokio::test]
async fn ttl_deletes_a_session_after_the_history_days_and_nothing_else() {
    let (database, engine, clock) = swept().await;
    let mut service = Service::on(database, &[("SESSION_LIFETIME_HOURS", "72000"), ("HISTORY_DAYS", "90")]);
    let ended = service.sign_in("74", "ended").await.id;
    let live = service.sign_in("74", "live").await.id;
    service.store().end(&user("74"), ended, &ended_by("1", at(60))).await.unwrap();
    service.pass(TimeDelta::seconds(90 * DAY));

    let left = async |now: i64| -> Vec<SessionId> {
        clock.set(u64::try_from(START + now).unwrap());
        engine.sweep_ttl().unwrap();
        let page = service.store().history(&user("74"), None, 100).await.unwrap();
        page.sessions.iter().map(|session| session.id).collect()
    };
    assert_eq!(left(60 + 90 * DAY - 1).await, [live, ended]);
    assert_eq!(left(60 + 90 * DAY + 1).await, [live]);
    assert!(
        service
            .store()
            .session(&user("74"), live)
            .await
            .unwrap()
            .unwrap()
            .is_live_at(service.now, service.store().policy())
    );
    // The other session is deleted after its lifetime too. The profile is never deleted.
    assert_eq!(left(3000 * DAY + 90 * DAY).await, [live]);
    assert_eq!(left(3000 * DAY + 90 * DAY + 3).await, []);
    assert!(service.store().profile(&user("74")).await.unwrap().is_some());
}
