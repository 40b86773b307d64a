//! The queue: pure. When which delivery is tried, and what its answer means. Each channel has two lanes that share nothing, one for stops:
//! a kill's notice never stands behind ordinary ones. In each lane one attempt runs at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use orbital::names::{Channel, TenantId};

use super::{
    Pace,
    notice::{Delivery, DeliveryState},
};

/// Most deliveries that wait in one lane of a channel.
pub(crate) const LANE_WAITING_MAX: usize = 1_024;
/// Most of them of one tenant, so that none fills a lane which others share.
pub(crate) const TENANT_WAITING_MAX: usize = 256;
/// Longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What an attempt ended in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken,
    /// It may work later; the receiver may have said when.
    Later {
        why: String,
        after: Option<Duration>,
    },
    /// It will never work as it is.
    Never {
        why: String,
    },
}

struct Waiting {
    delivery: Delivery,
    due_ms: u64,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    running: Option<String>,
    /// Nothing is tried before: the receiver asked for a pause.
    paused_until_ms: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    lanes: BTreeMap<(Channel, bool), Lane>,
    pace: Pace,
}

impl Queue {
    pub(super) fn new(pace: Pace) -> Self {
        Self { lanes: BTreeMap::new(), pace }
    }

    /// Takes a delivery up, or says why there is no room.
    pub(super) fn put(&mut self, delivery: Delivery, now_ms: u64) -> Result<(), String> {
        let lane = self.lanes.entry((delivery.channel.clone(), delivery.notice.stop)).or_default();
        let of = |tenant: TenantId| lane.waiting.iter().filter(|w| w.delivery.notice.tenant == tenant).count();
        if lane.waiting.len() >= LANE_WAITING_MAX {
            return Err(format!(
                "{LANE_WAITING_MAX} notices wait for this channel already: look why its receiver does not answer"
            ));
        }
        if of(delivery.notice.tenant) >= TENANT_WAITING_MAX {
            return Err(format!("{TENANT_WAITING_MAX} notices of this tenant wait for this channel already"));
        }
        lane.waiting.push_back(Waiting { delivery, due_ms: now_ms });
        Ok(())
    }

    pub(super) fn waits(&self, id: &str) -> bool {
        self.lanes.values().any(|lane| lane.waiting.iter().any(|w| w.delivery.id == id))
    }

    /// What is to be tried now: in each lane at most one. Notices of one incident keep their order.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<Delivery> {
        let mut found = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.running.is_none() && lane.paused_until_ms <= now_ms) {
            let first_of = |at: usize, w: &Waiting| {
                let same = |earlier: &Waiting| {
                    earlier.delivery.notice.incident == w.delivery.notice.incident
                        && earlier.delivery.to == w.delivery.to
                };
                !lane.waiting.iter().take(at).any(same)
            };
            let next = lane.waiting.iter().enumerate().find(|(at, w)| w.due_ms <= now_ms && first_of(*at, w));
            if let Some((_, waiting)) = next {
                let delivery = waiting.delivery.clone();
                lane.running = Some(delivery.id.clone());
                found.push(delivery);
            }
        }
        found
    }

    /// What an attempt's answer means; the delivery as it stands from now on. `luck` is random, from 0 to 1.
    pub(super) fn answered(&mut self, sent: &Delivery, answer: Answer, now_ms: u64, luck: f64) -> Option<Delivery> {
        let lane = self.lanes.get_mut(&(sent.channel.clone(), sent.notice.stop))?;
        lane.running = None;
        let at = lane.waiting.iter().position(|w| w.delivery.id == sent.id)?;
        let waiting = lane.waiting.get_mut(at)?;
        let delivery = &mut waiting.delivery;
        (delivery.attempts, delivery.tried_ms) = (delivery.attempts.saturating_add(1), Some(now_ms));
        match answer {
            Answer::Taken => (delivery.state, delivery.why) = (DeliveryState::Delivered, String::new()),
            Answer::Never { why } => (delivery.state, delivery.why) = (DeliveryState::Failed, why),
            Answer::Later { why, .. } if delivery.attempts >= self.pace.attempts => {
                let tries = delivery.attempts;
                (delivery.state, delivery.why) =
                    (DeliveryState::Failed, format!("given up after {tries} attempts: {why}"));
            }
            Answer::Later { why, after } => {
                delivery.why = why;
                let asked = after.map(|after| after.min(RETRY_AFTER_MAX));
                let pause = pause(&self.pace, delivery.attempts, luck).max(asked.unwrap_or_default());
                waiting.due_ms = now_ms.saturating_add(ms(pause));
                lane.paused_until_ms =
                    lane.paused_until_ms.max(asked.map_or(0, |asked| now_ms.saturating_add(ms(asked))));
                return Some(waiting.delivery.clone());
            }
        }
        lane.waiting.remove(at).map(|w| w.delivery)
    }
}

/// The pause after so many attempts: doubled each time, and half of it by luck, so that not all come at once.
fn pause(pace: &Pace, attempts: u32, luck: f64) -> Duration {
    let doubled = pace.first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(20)));
    let whole = doubled.min(pace.longest);
    whole / 2 + (whole / 2).mul_f64(luck.clamp(0.0, 1.0))
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use orbital::{names::Digest, routing::Occasion};
    use proptest::prelude::*;

    use super::*;
    use crate::notify::{
        notice::Notice,
        route::tests::{name, notice},
    };

    fn delivery(n: usize, stop: bool) -> Delivery {
        let notice = Notice {
            about: format!("{n}"),
            incident: format!("{n}"),
            stop,
            tenant: TenantId(Digest([u8::try_from(n / TENANT_WAITING_MAX).unwrap(); 32])),
            ..notice(Occasion::ApprovalWaiting)
        };
        Delivery::new(&notice, &name("c"), None, 0)
    }

    fn later(why: &str, after: Option<u64>) -> Answer {
        Answer::Later { why: why.into(), after: after.map(Duration::from_secs) }
    }

    #[test]
    fn a_stop_goes_out_beside_a_full_queue_and_what_has_no_room_is_told() {
        let mut queue = Queue::new(Pace::default());
        for n in 0..LANE_WAITING_MAX {
            queue.put(delivery(n, false), 0).unwrap();
        }
        assert!(queue.put(delivery(LANE_WAITING_MAX, false), 0).unwrap_err().contains("1024"));
        // The first ordinary one hangs.
        assert_eq!(queue.due(0).len(), 1);
        assert_eq!(queue.due(0), []);
        queue.put(delivery(5_000, true), 0).unwrap();
        let due = queue.due(0);
        assert_eq!(due.iter().map(|d| d.notice.stop).collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn one_tenant_leaves_room_for_another() {
        let mut queue = Queue::new(Pace::default());
        let theirs = |n: usize| {
            let mut one = delivery(n, false);
            one.notice.tenant = TenantId(Digest([9; 32]));
            one
        };
        for n in 0..TENANT_WAITING_MAX {
            queue.put(theirs(n), 0).unwrap();
        }
        assert!(queue.put(theirs(TENANT_WAITING_MAX), 0).unwrap_err().contains("of this tenant"));
        queue.put(delivery(3, false), 0).unwrap();
    }

    #[test]
    fn a_failure_is_tried_again_later_each_time_and_given_up() {
        let mut queue = Queue::new(Pace { attempts: 3, ..Pace::default() });
        queue.put(delivery(0, false), 0).unwrap();
        let mut now = 0;
        for (attempt, wait) in [(1, 1_000), (2, 2_000)] {
            let [sent] = queue.due(now).try_into().unwrap();
            let kept = queue.answered(&sent, later("500", None), now, 1.0).unwrap();
            assert_eq!((kept.state, kept.attempts), (DeliveryState::Waiting, attempt));
            assert_eq!(queue.due(now + wait - 1), []);
            now += wait;
        }
        let [sent] = queue.due(now).try_into().unwrap();
        let end = queue.answered(&sent, later("500", None), now, 1.0).unwrap();
        assert_eq!((end.state, end.attempts), (DeliveryState::Failed, 3));
        assert!(end.why.contains("3 attempts") && end.why.contains("500"), "{}", end.why);
        assert!(!queue.waits(&end.id));
    }

    #[test]
    fn who_asks_for_a_pause_gets_it_for_the_whole_lane() {
        let mut queue = Queue::new(Pace::default());
        queue.put(delivery(0, false), 0).unwrap();
        queue.put(delivery(1, false), 0).unwrap();
        let [sent] = queue.due(0).try_into().unwrap();
        queue.answered(&sent, later("429", Some(30)), 0, 0.0);
        assert_eq!(queue.due(29_999), []);
        assert_eq!(queue.due(30_000).len(), 1);
        // Not for ever.
        let mut queue = Queue::new(Pace::default());
        queue.put(delivery(0, false), 0).unwrap();
        let [sent] = queue.due(0).try_into().unwrap();
        queue.answered(&sent, later("429", Some(u64::MAX / 2_000)), 0, 0.0);
        assert_eq!(queue.due(ms(RETRY_AFTER_MAX)).len(), 1);
    }

    #[test]
    fn what_is_refused_for_good_is_not_repeated_and_holds_up_nobody() {
        let mut queue = Queue::new(Pace::default());
        queue.put(delivery(0, false), 0).unwrap();
        queue.put(delivery(1, false), 0).unwrap();
        let [sent] = queue.due(0).try_into().unwrap();
        let end = queue.answered(&sent, Answer::Never { why: "404".into() }, 0, 0.0).unwrap();
        assert_eq!((end.state, end.why.as_str()), (DeliveryState::Failed, "404"));
        let [next] = queue.due(0).try_into().unwrap();
        assert_eq!(next.notice.about, "1");
    }

    #[test]
    fn notices_of_one_incident_keep_their_order_while_others_pass() {
        let mut queue = Queue::new(Pace::default());
        let mut closing = delivery(1, false);
        closing.notice.incident = "0".into();
        for one in [delivery(0, false), closing, delivery(2, false)] {
            queue.put(one, 0).unwrap();
        }
        let [opening] = queue.due(0).try_into().unwrap();
        queue.answered(&opening, later("500", None), 0, 1.0);
        let [other] = queue.due(0).try_into().unwrap();
        assert_eq!(other.notice.about, "2");
        queue.answered(&other, Answer::Taken, 0, 0.0);
        assert_eq!(queue.due(999), []);
        assert_eq!(queue.due(1_000)[0].notice.about, "0");
    }

    proptest! {
        #[test]
        fn pauses_grow_within_their_bounds(attempts in 1u32..60, luck in 0.0f64..1.0) {
            let pace = Pace::default();
            let pause = pause(&pace, attempts, luck);
            prop_assert!(pause >= pace.first / 2 && pause <= pace.longest);
        }

        #[test]
        fn whatever_is_answered_each_delivery_ends_once(script in proptest::collection::vec((0u8..3, 0u64..700_000), 1..200)) {
            let mut queue = Queue::new(Pace { attempts: 4, ..Pace::default() });
            let count = 12;
            for n in 0..count { queue.put(delivery(n, n % 3 == 0), 0).unwrap(); }
            let (mut now, mut ended) = (0, std::collections::BTreeSet::new());
            let forever = std::iter::repeat_n(&(0u8, 700_000u64), count * 8);
            for (answer, wait) in script.iter().chain(forever) {
                for sent in queue.due(now) {
                    prop_assert!(!ended.contains(&sent.id));
                    let answer = match answer { 0 => Answer::Taken, 1 => later("x", None), _ => Answer::Never { why: "x".into() } };
                    let after = queue.answered(&sent, answer, now, 0.5).unwrap();
                    if after.state != DeliveryState::Waiting { prop_assert!(ended.insert(after.id)); }
                }
                now += wait;
            }
            prop_assert_eq!(ended.len(), count);
        }
    }
}
