package edge

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"hydrant/bus"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/stats"
)

// Whose a session is: its directory entry, and how it comes and goes.

// entry is what the directory should say of this session now.
func (a *attachment) entry() bus.Entry {
	state := bus.StateLive
	if a.parking {
		state = bus.StateParked
	}
	e := bus.Entry{
		Node: a.w.node.id, Fence: a.fence, State: state,
		Start: a.start, Floor: a.core.Floor(), Seen: a.core.Seen(),
		TokenHash: a.tokenHash[:], Identity: a.identity, Acked: a.class == session.Acked, Opened: time.Unix(a.opened, 0).UTC(),
	}
	if a.tokenHash == [sha256.Size]byte{} {
		e.TokenHash = nil
	}
	return e
}

// save writes the entry, one write at a time. A change during a write is
// written after it.
func (a *attachment) save() {
	if a.saving {
		a.saveAgain = true
		return
	}
	a.saving, a.saveAgain = true, false
	a.w.out.push(op{kind: stats.OpSave, sid: a.sid, entry: a.entry(), rev: a.rev, done: func(rev uint64, err error) {
		a.w.post(func() { a.onSaved(rev, err) })
	}})
}

func (a *attachment) onSaved(rev uint64, err error) {
	w := a.w
	a.saving = false
	switch {
	case w.attachments[a.sid] != a:
		return // released meanwhile: the new owner has taken the entry over
	case errors.Is(err, bus.ErrFenced):
		w.node.m.Writes.Inc(stats.WriteFenced)
		a.suspend(false)
		a.verify()
		return
	case err != nil:
		w.node.m.Writes.Inc(stats.WriteError)
		w.node.m.NATSErrors.Inc(stats.OpSave)
		a.retrySave(err)
		return
	}
	w.node.m.Writes.Inc(stats.WriteOK)
	a.rev, a.retries = rev, 0
	switch {
	case a.saveAgain:
		a.save()
	case a.parking:
		a.parked()
	case a.fresh && !a.welcomed && a.client != nil:
		a.client.welcome(a)
	}
}

// saveRetries bounds the attempts to park a session whose socket is gone. Its
// entry then stays as the last checkpoint left it, which a resume can use.
const saveRetries = 8

func (a *attachment) retrySave(err error) {
	w := a.w
	if a.parking && a.retries >= saveRetries {
		w.node.log.Warn("session not parked; its last checkpoint stands", "sid", a.sid, "error", err)
		w.node.m.Lifecycle.Inc(stats.ParkFailed)
		a.detach()
		return
	}
	if a.retries < saveRetries {
		a.retries++
	}
	w.loop.AfterFunc(time.Duration(a.retries)*250*time.Millisecond, func() {
		if w.attachments[a.sid] == a && !a.saving {
			a.save()
		}
	})
}

// verify asks the directory who owns the session, after a lost compare-and-
// swap or a stall of the process. Until the answer nothing is written.
func (a *attachment) verify() {
	w, stalls := a.w, a.w.stalls
	job := func(ctx context.Context) (ownership, error) {
		entry, rev, err := w.node.dir.GetLatest(ctx, a.sid)
		return ownership{entry, rev}, err
	}
	submit(w, job, func(o ownership, err error) {
		if w.attachments[a.sid] != a {
			return
		}
		switch {
		case stalls != w.stalls: // it is an answer from before
			a.verify()
		case err == nil && o.entry.Fence == a.fence:
			a.rev = o.rev
			a.save()
			a.reactivate()
		case err == nil, errors.Is(err, bus.ErrBadEntry): // of another node, perhaps of another version
			a.lost()
		case errors.Is(err, bus.ErrNoSession):
			a.expired()
		default:
			a.unverified()
			w.loop.AfterFunc(250*time.Millisecond, func() {
				if w.attachments[a.sid] == a {
					a.verify()
				}
			})
		}
	})
}

type ownership struct {
	entry bus.Entry
	rev   uint64
}

// reactivate ends a suspension: copies that passed meanwhile are read again.
func (a *attachment) reactivate() {
	if !a.suspended {
		return
	}
	a.suspended = false
	if a.client != nil {
		a.client.conn.Thaw()
	}
	if w := a.waiting; w != nil {
		late := w.late
		w.late, w.queued = [numEvents]func(){}, false
		for e, f := range late {
			if f != nil {
				a.whenActive(event(e), f)
			}
		}
	}
	a.whenActive(checked, func() { a.core.Reattach(a) })
}

// suspend keeps the session's messages from the socket until verify, which has
// to follow, has settled whose it is. hold keeps everything from it, as is due
// after a stall: what was on its way then may be another's to send. False: it is
// suspended already, or there is nothing yet that somebody could have taken.
func (a *attachment) suspend(hold bool) bool {
	if !a.listening || a.rev == 0 {
		return false
	}
	if hold && a.client != nil {
		a.client.conn.Freeze()
		if a.client.conn.Buffered() > 0 {
			a.wait().queued = true
		}
	}
	before := a.suspended
	a.suspended = true
	return !before
}

// unverified goes on without an answer of the directory: the session waits, but
// the client is to be told that much. Where something was queued at a stall,
// that must not leave, and what is queued behind it cannot.
func (a *attachment) unverified() {
	switch {
	case a.client == nil:
	case a.waiting != nil && a.waiting.queued:
		a.client.discard(protocol.CloseOverload, "session could not be verified in time")
	default:
		a.client.conn.Thaw()
	}
}

// lost ends an attachment whose session belongs to somebody else.
func (a *attachment) lost() {
	a.w.node.m.Lifecycle.Inc(stats.Lost)
	a.w.node.log.Info("session lost to another owner", "sid", a.sid)
	a.letGo(protocol.CloseTakenOver, takenOver)
}

// expired ends an attachment whose entry is gone: the node was cut off for as
// long as an entry lives, or the store has lost what it had. Nobody else has the
// session, so the client is to come back, for a new one, and everybody's does.
func (a *attachment) expired() {
	a.w.node.m.Lifecycle.Inc(stats.Expired)
	a.w.node.log.Warn("the directory has lost a session", "sid", a.sid)
	a.event(bus.SessionExpired, "")
	a.letGo(protocol.CloseRestart, retryHint())
}

// releasePatience is how long a session that was asked for waits for the pong
// that confirms what was written last. It spares a client that lives a repeat;
// one that is gone costs its successor this time.
const releasePatience = 150 * time.Millisecond

// release gives the session to another attachment: nothing is written any
// more, the socket is closed, and the answer says how far delivery got.
func (a *attachment) release(answer func(released)) {
	w := a.wait()
	w.releases = append(w.releases, answer)
	switch {
	case len(w.releases) > 1: // the wait has begun
	case a.listening && !a.suspended && a.client != nil && a.core.Release(a):
		a.setTimer(releasePatience)
	default:
		a.released()
	}
}

// released ends the wait: the answers go out when nothing is written any more.
func (a *attachment) released() {
	a.w.node.m.Lifecycle.Inc(stats.Released)
	a.letGo(protocol.CloseTakenOver, takenOver)
}

// answerReleases says how far delivery got, as is known now.
func (a *attachment) answerReleases() {
	if !a.releasing() {
		return
	}
	r := released{Found: true, Floor: a.core.Floor(), Seen: a.core.Seen()}
	a.w.given.put(claimKey{a.sid, a.fence}, r, a.w.loop.Now())
	for _, answer := range a.waiting.releases {
		answer(r)
	}
	a.waiting.releases = nil
}

const takenOver = "session taken over by another connection"

// letGo closes the socket of a session that is not this node's any more: nothing
// that is queued for it leaves.
func (a *attachment) letGo(code protocol.Close, reason string) {
	c := a.client
	a.client = nil
	a.detach()
	if c != nil {
		c.a = nil
		c.discard(code, reason)
	}
	a.answerReleases()
}

// park keeps the session for a client that is away.
func (a *attachment) park() {
	a.client = nil
	if a.releasing() {
		a.released() // to be parked by nobody: others wait for it
		return
	}
	a.stopListening()
	if a.rev == 0 && !a.saving {
		a.detach() // never entered: nobody knows this session
		return
	}
	a.parking = true
	a.save()
}

func (a *attachment) parked() {
	a.w.node.m.Lifecycle.Inc(stats.Parked)
	a.event(bus.SessionParked, "")
	a.expireLater()
	a.detach()
}

// expireLater has a node told when the directory's entry, which was just
// written, may be gone.
func (a *attachment) expireLater() {
	subject, err := bus.ExpirySubject(a.sid)
	if err != nil {
		panic(err) // see liveSubject
	}
	a.w.out.push(op{kind: stats.OpPublish, subject: subject})
}

// onExpiry is called on one of all nodes when a session's time is over, as far
// as parking and renewals tell: it may have been in use since.
func (n *Node) onExpiry(sid string) {
	if !n.pool.submit(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		_, _, err := n.dir.GetLatest(ctx, sid)
		switch {
		case errors.Is(err, bus.ErrNoSession):
			n.m.Lifecycle.Inc(stats.Expired)
			err = bus.PublishEvent(n.nc, bus.Event{What: bus.SessionExpired, Session: sid, Node: n.id})
		case err == nil:
			err = n.store.ExpireLater(sid)
		}
		if err != nil {
			n.m.Dropped.Inc(stats.DropExpiry)
			n.log.Debug("not known whether a session has expired", "sid", sid, "error", err)
		}
	}) {
		n.m.Dropped.Inc(stats.DropExpiry)
	}
}

// discard ends a fresh session whose socket resumed an older one, before
// anybody could hear of it.
func (a *attachment) discard() {
	a.client = nil
	a.event(bus.SessionClosed, "")
	a.detach()
	sid, rev, n := a.sid, a.rev, a.w.node
	n.dir.Forget(sid) // what comes for it must not be stored while it is deleted
	if !n.pool.submit(func() {
		ctx, cancel := context.WithTimeout(n.ctx, n.cfg.RequestTimeout)
		defer cancel()
		if err := n.dir.Delete(ctx, sid, rev); err != nil {
			n.log.Debug("fresh session not removed; it expires", "sid", sid, "error", err)
		}
	}) {
		n.m.Dropped.Inc(stats.DropDirectoryCleanup)
	}
}
