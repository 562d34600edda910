package shard

import (
	"context"
	"maps"
	"slices"
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
	node   *Node
	shards int

	// Guarded by mu.
	mu    sync.Mutex
	met   map[int]uint64 // by shard: the latest epoch that it has met
	epoch uint64         // that all shards have met
	parts [scheme.MaxStreams]logPart
}

// logPart is what is known of one partition.
type logPart struct {
	seen    store.Sighting // the last message that was seen before the epoch; Seq 0: none
	noted   store.BackNote // the last one that was there when that was looked for
	checked uint64         // the epoch in which that was looked for last
	asking  bool           // it is being looked for
	waiting []waitingFor   // at most one for each claim
}

type waitingFor struct {
	epoch uint64
	then  func(error)
}

// NewLogs returns the logs of a node that has not met NATS yet, for so many shards.
func NewLogs(n *Node, shards int) *Logs {
	return &Logs{node: n, shards: shards, met: make(map[int]uint64)}
}

// meet takes what a shard has seen before an epoch. When all shards have met it, the
// streams are asked.
func (l *Logs) meet(shard int, epoch uint64, seen *[scheme.MaxStreams]store.Sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.parts {
		if p := &l.parts[i]; seen[i].Time > p.seen.Time {
			p.seen = seen[i]
		}
	}
	l.met[shard] = max(l.met[shard], epoch)
	if len(l.met) < l.shards {
		return
	}
	l.epoch = slices.Min(slices.Collect(maps.Values(l.met)))
	for i := range l.parts {
		l.ask(i)
	}
}

// again asks for what no answer came.
func (l *Logs) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.parts {
		l.ask(i)
	}
}

// ask looks for what was seen in a partition. mu is held.
func (l *Logs) ask(partition int) {
	p, epoch := &l.parts[partition], l.epoch
	switch now := *p; {
	case p.asking || p.checked >= epoch:
	case partition >= l.node.Config.MailboxStreams && p.seen.Seq == 0 && len(p.waiting) == 0:
		p.checked = epoch
	default:
		p.asking = l.node.Calls.SubmitIdle(func() { l.look(partition, epoch, now) })
	}
}

// look asks for what was seen, and notes that it is gone.
func (l *Logs) look(partition int, epoch uint64, p logPart) {
	ctx, cancel := context.WithTimeout(l.node.Stopped, l.node.Config.RequestTimeout)
	defer cancel()
	now, back, err := l.wentBack(ctx, partition, p)
	if err != nil {
		l.node.Metrics.NATSErrors.Inc(stats.OpRead)
		l.node.Log.Debug("it is not known whether a stream of mailboxes has gone back", "stream", scheme.OutStream(partition), "error", err)
	}
	l.looked(partition, epoch, p.seen, back, now, err)
}

// wentBack reports whether what was seen in a partition is gone, and the last note of that:
// the node's own, or that of another one that came since this one looked last. A second
// one would say of entries that were written in between that they are older.
func (l *Logs) wentBack(ctx context.Context, partition int, p logPart) (last store.BackNote, back bool, err error) {
	d := l.node.Directory
	if last, err = d.LastBack(ctx, partition); err != nil || p.seen.Seq == 0 {
		return last, false, err
	}
	if back, err = l.node.Mailboxes.WentBack(ctx, p.seen); err != nil || !back {
		return last, false, err
	}
	l.node.Log.Warn("a stream of mailboxes has gone back", "stream", scheme.OutStream(partition), "seen", p.seen.Seq)
	if last.Time > p.noted.Time {
		return last, true, nil
	}
	if err = d.NoteBack(ctx, partition, last, p.seen); err == nil {
		last, err = d.LastBack(ctx, partition)
	}
	return last, true, err
}

// looked lets those go on who wait for that.
func (l *Logs) looked(partition int, epoch uint64, seen store.Sighting, back bool, last store.BackNote, err error) {
	l.mu.Lock()
	p := &l.parts[partition]
	p.asking = false
	if err == nil {
		p.checked, p.noted = epoch, last
		if back && p.seen == seen {
			p.seen = store.Sighting{} // of a log that is gone
		}
	}
	var ready []waitingFor
	p.waiting = slices.DeleteFunc(p.waiting, func(w waitingFor) bool {
		if w.epoch <= epoch {
			ready = append(ready, w)
		}
		return w.epoch <= epoch
	})
	if err == nil {
		l.ask(partition) // of a later epoch
	}
	l.mu.Unlock()
	for _, w := range ready {
		w.then(err)
	}
}

// known reports whether it is known that a partition has gone back before an epoch, or
// that it has not. Else then is called on another goroutine once it is, or with an error.
func (l *Logs) known(partition int, epoch uint64, then func(error)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.parts[partition]
	if p.checked >= epoch {
		return true
	}
	p.waiting = append(p.waiting, waitingFor{epoch, then})
	l.ask(partition)
	return false
}

// everBack reports whether this node knows a note of a partition.
func (l *Logs) everBack(partition int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parts[partition].noted.Rev != 0
}

// saw notes a message that lasts. Where the log may have gone back, it may be of the one
// that was.
func (s *Shard) saw(h *held, seq uint64, at int64) {
	if p := &s.seen[h.partition()]; at > p.Time && !h.core.Aged() {
		*p = store.Sighting{SID: h.sid, Seq: seq, Time: at}
	}
}
