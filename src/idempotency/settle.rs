use std::sync::Arc;

use bytes::Bytes;
use http::{Response, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tokio::sync::oneshot;

use super::{
    answers,
    desk::Desk,
    held::{Held, HeldState},
    later::Note,
    store::{Completion, StoredResponse},
};
use crate::{
    boxed::BoxError,
    fencing::Fenced,
    observe,
    panics::{Stopped, supervise},
    verify::{Acknowledged, ResponseBody},
};

/// The channel for the answer. The client may have disconnected.
pub(super) type Reply<R, E> = oneshot::Sender<Result<Response<ResponseBody<R>>, E>>;

/// How a handler ended.
pub(super) enum Ran<R, E> {
    Failed(E),
    Panicked,
    Responded(Response<R>),
    TimedOut,
}

impl Desk<'_> {
    /// Records how the handler ended, and answers.
    pub(super) async fn settle<R, E>(&self, held: Option<&Held>, ran: Ran<R, E>, reply: Reply<R, E>)
    where
        R: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let response = match ran {
            Ran::Responded(response) if response.status().is_success() => response,
            failed => {
                if let Some(held) = held {
                    // Released before the answer is sent, so that the sender's retry runs at once.
                    self.give_back(held).await;
                }
                let answer = match failed {
                    Ran::Failed(error) => Err(error),
                    Ran::Responded(response) => Ok(response.map(ResponseBody::inner)),
                    Ran::Panicked => {
                        observe::panicked(self.provider());
                        Ok(answers::panicked().map(ResponseBody::own))
                    }
                    Ran::TimedOut => {
                        observe::timed_out(self.provider());
                        Ok(answers::timed_out().map(ResponseBody::own))
                    }
                };
                let _ = reply.send(answer);
                return;
            }
        };
        let response = response.map(ResponseBody::inner);
        let Some(held) = held else {
            let _ = reply.send(Ok(response));
            return;
        };
        if matches!(held.state(), HeldState::Doubtful | HeldState::Marked) {
            match self.context.store.is_done(held.key, held.token).await {
                Ok(Fenced::Applied) => held.done(),
                Ok(Fenced::Stale) => {
                    observe::commit_forgotten(self.provider());
                    self.give_back(held).await;
                    return send(reply, answers::internal());
                }
                Err(cause) => {
                    observe::store_failed(self.provider(), "is_done", &cause);
                    self.decide_later(held);
                    return send(reply, answers::unavailable());
                }
            }
        }
        let (response, stored) = match self.store_response(held, response).await {
            Ok(kept) => kept,
            Err(answer) => {
                self.give_back(held).await;
                return send(reply, answer);
            }
        };
        // Recorded before the answer: if the process dies between the two, the sender retries, and its duplicate is
        // recognised.
        if held.state() != HeldState::Done {
            let mut completion = Completion::new(held.retention);
            completion.response.clone_from(&stored);
            match self.complete(held.key, held.token, completion.clone()).await {
                Some(Fenced::Applied) => held.done(),
                Some(Fenced::Stale) => observe::overtaken(self.provider()),
                // The handler has succeeded, and only the record is missing. Until it is written, a duplicate runs
                // again when the lease has ended.
                None => self.later(held.token, held.lease_end(), Note::Complete(held.key, completion)),
            }
        }
        self.remember(held.key, self.fingerprint, stored);
        self.complete_guard(held).await;
        let _ = reply.send(Ok(response));
    }

    /// Completes the guard, now or in the background.
    async fn complete_guard(&self, held: &Held) {
        let Some(guard) = held.unmarked_guard() else { return };
        if self.complete(guard.key, held.token, Completion::new(guard.window)).await.is_none() {
            self.later(held.token, held.lease_end(), Note::handled(guard));
        }
    }

    /// Releases a claim whose handler has failed, together with its guard. If the handler has committed the claim
    /// anyway, its effect is done, and the same bytes would be a replay: the guard is then completed.
    async fn give_back(&self, held: &Held) {
        let state = held.state();
        if state == HeldState::Done {
            return self.complete_guard(held).await;
        }
        let Some(guard) = held.guard else {
            self.release(held.key, held.token, held.lease_end()).await;
            return;
        };
        if state == HeldState::Open {
            self.release(held.key, held.token, held.lease_end()).await;
            self.release(guard.key, held.token, held.lease_end()).await;
            return;
        }
        // A claim that could be released was not done. If it could not be released, the handler may have committed it,
        // and the store knows whether it did.
        let found = match self.context.store.release(held.key, held.token).await {
            Ok(Fenced::Applied) => Ok(Fenced::Stale),
            Ok(Fenced::Stale) => self.context.store.is_done(held.key, held.token).await,
            Err(cause) => Err(cause),
        };
        match found {
            Ok(Fenced::Applied) => self.complete_guard(held).await,
            Ok(Fenced::Stale) => self.release(guard.key, held.token, held.lease_end()).await,
            Err(cause) => {
                observe::store_failed(self.provider(), "release", &cause);
                self.decide_later(held);
            }
        }
    }

    /// Releases a claim that may be done already. If it is, only its guard changes.
    fn decide_later(&self, held: &Held) {
        let note = held.guard.map_or(Note::Release(held.key), |guard| Note::Decide(held.key, guard));
        self.later(held.token, held.lease_end(), note);
    }

    /// Keeps a small response for duplicates, if the application wants this and the record is not written yet.
    async fn store_response<R>(
        &self,
        held: &Held,
        response: Response<ResponseBody<R>>,
    ) -> Result<(Response<ResponseBody<R>>, Option<Arc<StoredResponse>>), Response<Bytes>>
    where
        R: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        if response.extensions().get::<Acknowledged>().is_some() && self.verified.prescribes_success() {
            // The sender prescribes a form of success, which duplicates get too.
            return Ok((response, None));
        }
        let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let limit = match (self.context.stored_responses, length) {
            (Some(limit), Some(length)) if length <= limit && held.state() == HeldState::Open => limit,
            _ => return Ok((response, None)),
        };
        let (parts, body) = response.into_parts();
        // The body is the application's too, and is read within the handler's time.
        let body = match supervise(Limited::new(body, limit).collect(), || held.handler_deadline()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(answers::internal()),
            Err(Stopped::Panicked) => {
                observe::panicked(self.provider());
                return Err(answers::panicked());
            }
            Err(Stopped::TimedOut) => {
                observe::timed_out(self.provider());
                return Err(answers::timed_out());
            }
        };
        let content_type =
            parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let stored = Arc::new(StoredResponse::new(parts.status.as_u16(), content_type, body.clone()));
        Ok((Response::from_parts(parts, ResponseBody::own(body)), Some(stored)))
    }
}

/// Answers, if anybody still waits.
pub(super) fn send<R, E>(reply: Reply<R, E>, answer: Response<Bytes>) {
    let _ = reply.send(Ok(answer.map(ResponseBody::own)));
}
