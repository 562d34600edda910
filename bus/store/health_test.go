package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// takesNothing has a mailbox stream refuse whatever is published, as one does
// whose disk is full; or ends that.
func takesNothing(t *testing.T, s *Store, partition int, on bool) {
	t.Helper()
	ctx := natstest.Context(t)
	st, err := s.js.Stream(ctx, scheme.OutStream(partition))
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	if cfg.MaxMsgSize = -1; on {
		cfg.MaxMsgSize = 1
	}
	if _, err := s.js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
}

// TestBadStream: a mailbox stream that does not work is said to be bad until it has
// been seen to work, however often others are; new sessions go to those, or are
// refused at once where there are none.
func TestBadStream(t *testing.T) {
	t.Parallel() // it waits
	s := newStore(t, Config{Streams: 4})
	ctx := natstest.Context(t)
	bad := func(partitions ...int) {
		t.Helper()
		for range 3 {
			var c *ContractError
			err := s.CheckContract(ctx)
			if len(partitions) == 0 && err != nil || len(partitions) > 0 && (!errors.As(err, &c) || len(c.Findings) != len(partitions) || c.Partial != (len(partitions) < 4)) {
				t.Fatalf("bad are %v: %v", partitions, err)
			}
		}
		is := make(map[int]bool)
		for _, p := range partitions {
			is[p] = true
		}
		placed := make(map[int]int)
		for p := range 4 {
			if err := s.Healthy(p); (err != nil) != is[p] || err != nil && !strings.Contains(err.Error(), "10054") {
				t.Errorf("partition %d: %v", p, err)
			}
		}
		for range 400 {
			sid, err := s.NewSID()
			if len(partitions) == 4 {
				if !errors.Is(err, ErrNoMailbox) || !strings.Contains(err.Error(), scheme.OutStreamPrefix) {
					t.Fatal(err)
				}
				continue
			}
			if _, perr := scheme.ParseSID(string(sid)); err != nil || perr != nil || is[s.PartitionOf(sid)] {
				t.Fatal(sid, err)
			}
			placed[s.PartitionOf(sid)]++
		}
		if n := len(placed); n != 4-len(partitions) {
			t.Errorf("sessions on %d streams: %v", n, placed)
		}
	}
	bad()
	takesNothing(t, s, 2, true)
	bad(2)
	again, err := Open(ctx, s.nc, s.Config()) // others work
	if err != nil {
		t.Fatal(err)
	}
	if again.Healthy(2) == nil {
		t.Error("a node that has just started does not know")
	}
	again.Close()
	takesNothing(t, s, 0, true)
	bad(0, 2)
	takesNothing(t, s, 2, false)
	bad(0)
	for p := range 4 {
		takesNothing(t, s, p, true)
	}
	bad(0, 1, 2, 3)
	for p := range 4 {
		takesNothing(t, s, p, false)
	}
	bad()
}

// TestBadStreamGone: so it is with one that is not there.
func TestBadStreamGone(t *testing.T) {
	s := newStore(t, Config{Streams: 2})
	ctx := natstest.Context(t)
	if err := s.js.DeleteStream(ctx, "UMF_OUT_1"); err != nil {
		t.Fatal(err)
	}
	var c *ContractError
	if err := s.CheckContract(ctx); !errors.As(err, &c) || !c.Partial || s.Healthy(1) == nil || s.Healthy(0) != nil {
		t.Error(err)
	}
	if err := s.js.DeleteStream(ctx, scheme.WorkStream); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckContract(ctx); !errors.As(err, &c) || c.Partial {
		t.Error("without work queues too it is not a matter of some sessions:", err)
	}
}

// TestRepair: what vanishes under a running node is made again, as it was, by any
// number of nodes at once, and works; the limits of what is there stay.
func TestRepair(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s := openStore(t, nc, Config{Streams: 2, QueueLimit: 10})
	cfg := s.Config()
	cfg.QueueLimit = 20
	other := openStore(t, connect(t, nc.ConnectedUrl()), cfg)
	for name, gone := range map[string][]string{
		"one":        {"UMF_OUT_1"},
		"the bucket": {scheme.SessionStream},
		"the others": {scheme.ExpiryStream, scheme.WorkStream},
		"all":        scheme.StreamNames(2),
	} {
		for _, stream := range gone {
			if err := s.js.DeleteStream(ctx, stream); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.CheckContract(ctx); err == nil {
			t.Fatal(name, "is not missed")
		}
		done := make(chan error)
		for _, node := range []*Store{s, other} {
			go func() { done <- node.Repair(ctx) }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(name, err)
			}
		}
		for _, node := range []*Store{s, other} {
			if err := node.CheckContract(ctx); err != nil {
				t.Error(name, err)
			}
		}
		if _, err := s.Directory().Create(ctx, scheme.NewSID(), testEntry()); err != nil {
			t.Error(name, err)
		}
	}
	st, err := s.js.Stream(ctx, "UMF_OUT_0")
	if err != nil {
		t.Fatal(err)
	}
	limited := st.CachedInfo().Config
	limited.MaxMsgsPerSubject, limited.RePublish = 33, nil // a limit of an operator's, and what breaks the contract
	if _, err := s.js.UpdateStream(ctx, limited); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Repair(ctx), s.CheckContract(ctx)); err != nil {
		t.Error(err)
	}
	if st, err = s.js.Stream(ctx, "UMF_OUT_0"); err != nil || st.CachedInfo().Config.MaxMsgsPerSubject != 33 {
		t.Error("the limit is gone", err)
	}
}

// TestRepairDenied: a node that may not make streams says which are missing, and
// which permission it lacks, without waiting for an answer that does not come.
func TestRepairDenied(t *testing.T) {
	p := scheme.NodePermissions(1)
	ns := natstest.StartServer(t, natstest.Users(map[string]scheme.Permissions{
		"installer": {Publish: []string{">"}, Subscribe: []string{">"}}, "node": p,
	}))
	as := func(user string) *nats.Conn {
		return connect(t, strings.Replace(ns.ClientURL(), "nats://", "nats://"+user+":p@", 1), nats.CustomInboxPrefix(scheme.NodeInbox),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // it is denied what it tries
	}
	installer := openStore(t, as("installer"), Config{Streams: 1})
	s := openStore(t, as("node"), Config{Streams: 1})
	ctx := natstest.Context(t)
	if err := s.Repair(ctx); err != nil {
		t.Error("nothing is missing:", err)
	}
	for _, stream := range []string{"UMF_OUT_0", scheme.SessionStream} {
		if err := installer.js.DeleteStream(ctx, stream); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // also when it has been denied before
		var c *ContractError
		if err := s.Repair(ctx); !errors.As(err, &c) || len(c.Findings) != 2 {
			t.Fatal(err)
		}
		for i, stream := range []string{"UMF_OUT_0", scheme.SessionStream} {
			f := c.Findings[i]
			if f.What != "stream "+stream || !strings.Contains(f.Detail, "missing") || !strings.Contains(f.Fix, "$JS.API.STREAM.CREATE."+stream) {
				t.Error(f)
			}
		}
	}
	if err := installer.Repair(ctx); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.Repair(ctx), s.CheckContract(ctx)); err != nil {
		t.Error(err)
	}
}
