package store

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/scheme"
)

// listBatch is how many entries one answer brings.
const listBatch = 1024

type batchRequest struct {
	From     uint64 `json:"seq"`
	NextFor  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// List calls fn for every session until it returns false: once for each that is
// there all the time while List runs, in no order. Unreadable entries are
// skipped. Any replica answers: what was written a moment ago may be missing in
// a cluster.
//
// It walks through the stream, page by page, to its end: an entry that is
// written meanwhile moves to where the walk comes by later. A watcher of
// nats.go counts messages instead, and so takes a new session for an old one
// that has moved; and it blocks for ever where it is stopped before its end.
func (d *Directory) List(ctx context.Context, fn func(sid scheme.SID, e scheme.Entry) bool) error {
	ctx, cancel := d.store.bounded(ctx)
	defer cancel()
	seen := make(map[scheme.SID]bool)
	req := batchRequest{From: 1, NextFor: scheme.SessionKeyPrefix + "*", Batch: listBatch}
	for {
		var entries []listedEntry
		var end page
		var next uint64
		if err := jet.Retry(ctx, func(ctx context.Context) (err error) {
			entries, next = entries[:0], 0
			end, err = d.store.directGet(ctx, scheme.SessionStream, req, listBatch, func(m *nats.Msg, seq uint64) error {
				next = seq + 1
				if l, ok := readListed(m, seq); ok {
					entries = append(entries, l)
				}
				return nil
			})
			return err
		}); err != nil {
			return err
		}
		for _, l := range entries {
			if seen[l.sid] {
				continue
			}
			if seen[l.sid] = true; !fn(l.sid, l.entry) {
				return nil
			}
		}
		if end.pending == 0 || next == 0 {
			return nil
		}
		req.From = next
	}
}

type listedEntry struct {
	sid   scheme.SID
	entry scheme.Entry
}

// readListed reads one message of the bucket. Those that say that a key was
// deleted, and what nodes keep under keys of their own, are no entries.
func readListed(m *nats.Msg, seq uint64) (l listedEntry, ok bool) {
	key, found := strings.CutPrefix(jet.LastHeader(m.Header, jet.HeaderSubject), scheme.SessionKeyPrefix)
	if !found || len(m.Data) == 0 {
		return l, false
	}
	sid, err := scheme.ParseSID(key)
	if err != nil {
		return l, false
	}
	e, _, err := decodeEntry(m.Data, seq)
	return listedEntry{sid, e}, err == nil
}
