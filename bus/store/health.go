package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"hydrant/bus/scheme"
)

// ErrNoMailbox: no mailbox stream works, so that no session can be opened.
var ErrNoMailbox = errors.New("bus: no mailbox stream works")

// health is which mailbox streams worked when they were looked at last. The zero
// value takes all for well. Safe for concurrent use.
type health struct {
	// Guarded by mu.
	mu       sync.Mutex
	bad      map[int]Finding // by partition
	well     []int           // the other partitions; nil: nothing is bad
	warnings []Finding
}

// set records what was found of each mailbox stream, and all that was found. A
// partition is bad until it has been looked at and found well.
func (h *health) set(mailboxes [][]Finding, all []Finding) {
	bad := make(map[int]Finding)
	var well []int
	for i, list := range mailboxes {
		if failed := failures(list); len(failed) > 0 {
			bad[i] = failed[0]
		} else {
			well = append(well, i)
		}
	}
	var warnings []Finding
	for _, f := range all {
		if f.Verdict == Warn {
			warnings = append(warnings, f)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bad, h.well, h.warnings = bad, well, warnings
}

// some reports whether a partition works.
func (h *health) some() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.bad) == 0 || len(h.well) > 0
}

// Healthy reports whether the mailbox stream of a partition worked when
// [Store.CheckContract] looked last; if not, why.
func (s *Store) Healthy(partition int) error {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if f, bad := h.bad[partition]; bad {
		return fmt.Errorf("%w: %s: %s", ErrUnavailable, f.What, f.Detail)
	}
	return nil
}

// NewSID returns a fresh session id, on a mailbox stream that works. If none does
// it is ErrNoMailbox, which says why.
func (s *Store) NewSID() (scheme.SID, error) {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	sid := scheme.NewSID()
	f, bad := h.bad[s.PartitionOf(sid)]
	switch {
	case !bad:
		return sid, nil
	case len(h.well) == 0:
		return "", fmt.Errorf("%w: %s: %s", ErrNoMailbox, f.What, f.Detail)
	}
	return scheme.NewSIDIn(h.well[rand.N(len(h.well))], s.cfg.Streams), nil
}

// Warnings are what [Store.CheckContract] found when it looked last that does no
// harm to the contract.
func (s *Store) Warnings() []Finding {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Finding(nil), h.warnings...)
}
