package shard

import (
	"context"
	"errors"
	"sync"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// Logs finds out after each reconnect to NATS which mailbox streams have gone back since
// the node saw messages in them, and notes that for other nodes. A position that only a
// client knows cannot be told from another log's where a new message of its mailbox has
// that very sequence: so before one is believed that is older than the connection, it is
// asked whether the stream has gone back since the session's entry was written.
//
// All shards of a node share one. Methods may be called concurrently.
type Logs struct {
	// Immutable.
	node *Node

	// Guarded by mu.
	mu    sync.Mutex
	met   map[int]uint64 // by shard: the latest epoch that it has met
	parts [scheme.MaxStreams]logPart
}

// logPart is what is known of one partition.
type logPart struct {
	seen    store.Sighting // the last message that was seen before the epoch; Seq 0: none
	checked uint64         // the epoch in which that was looked for last
	waiting []waitingFor
}

type waitingFor struct {
	epoch uint64
	then  func()
}

// NewLogs returns the logs of a node that has not met NATS yet.
func NewLogs(n *Node) *Logs { return &Logs{node: n, met: make(map[int]uint64)} }

// meet takes what a shard has seen before an epoch. When all shards have met it, the
// streams are asked.
func (l *Logs) meet(shard int, epoch uint64, seen *[scheme.MaxStreams]store.Sighting) {
	l.mu.Lock()
	for i := range l.parts {
		if p := &l.parts[i]; seen[i].Seq > p.seen.Seq {
			p.seen = seen[i]
		}
	}
	l.met[shard] = max(l.met[shard], epoch)
	all := len(l.met) == l.node.Shards
	for _, met := range l.met {
		all = all && met >= epoch
	}
	known := l.parts
	l.mu.Unlock()
	if !all {
		return
	}
	for i := range known {
		job := func() { l.checked(i, epoch, false) } // wakes other loops: not from this one
		if seen := known[i].seen; seen.Seq != 0 {
			job = func() { l.check(i, epoch, seen) }
		}
		if !l.node.Calls.Submit(job) {
			l.checked(i, epoch, false)
		}
	}
}

// check asks for what was seen.
func (l *Logs) check(partition int, epoch uint64, seen store.Sighting) {
	ctx, cancel := context.WithTimeout(l.node.Stopped, l.node.Config.RequestTimeout)
	defer cancel()
	back, err := l.node.Mailboxes.WentBack(ctx, seen)
	if back {
		l.node.Log.Warn("a stream of mailboxes has gone back", "stream", scheme.OutStream(partition), "seen", seen.Seq)
		err = errors.Join(err, l.node.Directory.NoteBack(ctx, seen.SID))
	}
	if err != nil {
		l.node.Metrics.NATSErrors.Inc(stats.OpRead)
		l.node.Log.Debug("it is not known whether a stream of mailboxes has gone back", "stream", scheme.OutStream(partition), "error", err)
	}
	l.checked(partition, epoch, back && err == nil)
}

// checked lets those go on who wait for an epoch.
func (l *Logs) checked(partition int, epoch uint64, back bool) {
	l.mu.Lock()
	p := &l.parts[partition]
	p.checked = max(p.checked, epoch)
	if back {
		p.seen = store.Sighting{} // of a log that is gone
	}
	var ready []func()
	still := p.waiting[:0]
	for _, w := range p.waiting {
		if w.epoch > p.checked {
			still = append(still, w)
			continue
		}
		ready = append(ready, w.then)
	}
	p.waiting = still
	l.mu.Unlock()
	for _, then := range ready {
		then()
	}
}

// known reports whether it is known that a partition has gone back before an epoch, or
// that it has not. Else then is called on another goroutine once it is.
func (l *Logs) known(partition int, epoch uint64, then func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.parts[partition]
	if p.checked >= epoch {
		return true
	}
	p.waiting = append(p.waiting, waitingFor{epoch, then})
	return false
}

// saw notes a message that lasts.
func (s *Shard) saw(h *held, seq uint64, at int64) {
	if at == 0 {
		return
	}
	if p := &s.seen[h.partition()]; seq > p.Seq {
		*p = store.Sighting{SID: h.sid, Seq: seq, Time: at}
	}
}

// unproved reports whether a client names a position that only it knows, and that may be
// of a log that is gone.
func (h *held) unproved(e *scheme.Entry) bool {
	if !h.claiming() || !e.Acked || e.Position.Back {
		return false
	}
	r := h.client.arriving().resume
	return r.HasSeq && r.Seq > e.Position.Floor && h.s.since.older(e.Position)
}

// proveLog asks whether the log has gone back since the entry was written, before the
// owner learns of the entry.
func (h *held) proveLog(number uint32, f found) {
	s := h.s
	job := func(ctx context.Context) (uint64, error) { return s.node.Directory.LastBack(ctx, h.sid) }
	ask := func() {
		submitTo(s, s.node.Resumes.Submit, job, func(back uint64, err error) {
			if err != nil {
				s.node.Log.Debug("it is not known whether a log has gone back", "sid", h.sid, "error", err)
			} else if back > f.rev && h.unproved(&f.entry) {
				named := h.client.arriving().resume.Seq
				f.entry.Position = scheme.Position{Floor: named, Seen: named, Back: true}
			}
			f.proved = true
			h.read(number, f, nil)
		})
	}
	if s.node.Logs.known(h.partition(), s.epoch, func() { s.post(ask) }) {
		ask()
	}
}
