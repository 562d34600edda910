package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// findings opens a store that must not open, and returns why.
func findings(t *testing.T, nc *nats.Conn, cfg Config) []Finding {
	t.Helper()
	s, err := Open(natstest.Context(t), nc, cfg)
	if err == nil {
		s.Close()
		t.Fatal("the store opened")
	}
	var c *ContractError
	if !errors.As(err, &c) || len(c.Findings) == 0 {
		t.Fatalf("%T %v", err, err)
	}
	for _, f := range c.Findings {
		if f.Verdict != Fail || f.What == "" || f.Detail == "" || f.Fix == "" || !strings.Contains(err.Error(), f.What) {
			t.Errorf("incomplete: %+v", f)
		}
	}
	return c.Findings
}

func TestContractConfig(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	for _, cfg := range []Config{
		{Streams: 3}, {Streams: 64}, {Replicas: 6}, {Replicas: -1}, {QueueLimit: -1}, {TTL: time.Millisecond}, {Bytes: -1}, {WorkLimit: -1}, {Window: -1},
	} {
		if _, err := Open(natstest.Context(t), nc, cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// TestContractDefaults: the streams are as the package documentation has them.
func TestContractDefaults(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s, err := Open(ctx, nc, Config{Bytes: 3200 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for i := range 16 {
		st, err := s.js.Stream(ctx, fmt.Sprintf("UMF_OUT_%d", i))
		if err != nil {
			t.Fatal(err)
		}
		c := st.CachedInfo().Config
		if c.Storage != jetstream.FileStorage || c.MaxMsgsPerSubject != 1000+2+31 || c.MaxAge != 36*time.Hour ||
			c.MaxBytes != 140<<20 || !c.AllowDirect || !c.AllowMsgTTL || len(c.Subjects) != 4 || c.Compression != jetstream.S2Compression {
			t.Errorf("%+v", c)
		}
	}
	kv, err := s.js.KeyValue(ctx, scheme.SessionBucket) // NATS' tools take it for a bucket
	if err != nil {
		t.Fatal(err)
	}
	if st, err := kv.Status(ctx); err != nil || st.TTL() != 24*time.Hour || st.History() != 1 {
		t.Errorf("%+v %v", st, err)
	}
	if err := s.CheckContract(ctx); err != nil || len(s.Warnings()) != 0 {
		t.Fatal(err, s.Warnings())
	}
	// A second node finds nothing to change.
	again, err := Open(ctx, nc, s.Config())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestContractUpdates(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s := openStore(t, nc, Config{QueueLimit: 10, TTL: time.Hour})
	cfg := s.Config()
	cfg.QueueLimit, cfg.TTL = 20, 2*time.Hour
	raised, err := Open(ctx, nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer raised.Close()
	st, err := s.js.Stream(ctx, "UMF_OUT_0")
	if err != nil {
		t.Fatal(err)
	}
	have := st.CachedInfo().Config
	if have.MaxMsgsPerSubject != 22 || have.MaxAge != 3*time.Hour {
		t.Fatalf("%+v", have)
	}
	// The node with the lower limits still is content. One that finds its own lowered
	// says so, and goes on; what breaks the protocol is another matter.
	if err := s.CheckContract(ctx); err != nil || len(s.Warnings()) != 0 || s.TTL() != time.Hour {
		t.Error(err, s.Warnings(), s.TTL())
	}
	have.MaxMsgsPerSubject = 5
	have.AllowDirect = false
	have.RePublish = nil
	if _, err := s.js.UpdateStream(ctx, have); err != nil {
		t.Fatal(err)
	}
	var c *ContractError
	if err := s.CheckContract(ctx); !errors.As(err, &c) || len(c.Findings) != 2 {
		t.Fatal(err)
	}
	for i, what := range []string{"allow_direct", "republish"} {
		if !strings.Contains(c.Findings[i].What, what) {
			t.Errorf("%v is not about %s", c.Findings[i], what)
		}
	}
	if w := s.Warnings(); len(w) != 1 || w[0].Verdict != Warn || !strings.Contains(w[0].What, "UMF_OUT_0: max_msgs_per_subject") {
		t.Error(w)
	}
	// A node that starts mends it.
	mended, err := Open(ctx, nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	mended.Close()
}

// TestContractLowerLimits: a node that starts with lower limits makes no other one
// break its contract; those say what they would have, and go by the shorter time.
func TestContractLowerLimits(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	ctx := natstest.Context(t)
	s := openStore(t, nc, Config{Streams: 1, QueueLimit: 100, TTL: 2 * time.Hour, WorkLimit: 50})
	cfg := s.Config()
	cfg.QueueLimit, cfg.TTL, cfg.WorkLimit = 10, time.Hour, 5
	lower, err := Open(ctx, nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer lower.Close()
	if err := s.CheckContract(ctx); err != nil {
		t.Error(err)
	}
	var said []string
	for _, f := range s.Warnings() {
		if f.Verdict != Warn || f.Fix == "" {
			t.Errorf("%+v", f)
		}
		said = append(said, f.What)
	}
	if got := strings.Join(said, ", "); got != "stream UMF_OUT_0: max_msgs_per_subject, stream UMF_OUT_0: max_age, "+
		"stream KV_UMF_SESSIONS: max_age, stream UMF_EXPIRY: max_age, stream UMF_WORK: max_msgs_per_subject" {
		t.Error(got)
	}
	if s.TTL() != time.Hour {
		t.Errorf("sessions are renewed as if they lived %v", s.TTL())
	}
}

// TestContractPartition: another number of streams would leave what is stored
// behind, so it is refused in both directions and changes nothing.
func TestContractPartition(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	s := openStore(t, nc, Config{Streams: 4})
	sid := scheme.NewSID()
	fill(t, s, sid, 3)
	for _, n := range []int{2, 8} {
		cfg := s.Config()
		cfg.Streams = n
		found := findings(t, nc, cfg)
		if len(found) != 1 || found[0].What != "mailbox streams" || !strings.HasSuffix(found[0].Detail, "have 4") {
			t.Errorf("%d streams: %v", n, found)
		}
	}
	if err := s.CheckContract(natstest.Context(t)); err != nil {
		t.Error(err)
	}
	if b, err := s.Read(natstest.Context(t), sid, 1, 0, 10, 0); err != nil || texts(b) != "0 1 2" {
		t.Error(texts(b), err)
	}
}

func TestContractReplicas(t *testing.T) {
	found := findings(t, connect(t, natstest.Start(t).URL()), Config{Streams: 1, Replicas: 3})
	const reason = "replicas > 1 not supported"
	if !strings.Contains(found[0].Detail, reason) {
		t.Error(found[0])
	}
	// It is the same for all streams, and said once.
	if text := (&ContractError{Findings: found}).Error(); len(found) < 2 || strings.Count(text, reason) != 1 {
		t.Error(text)
	}
}

func TestContractErrorText(t *testing.T) {
	err := ContractError{Findings: []Finding{broken("a", "x", "y", "z"), broken("b", "x", "y", "z"), broken("c", "x", "w", "z")}}
	if want := "bus: the store does not hold the contract: a, b: want x, have y (z); c: want x, have w (z)"; err.Error() != want {
		t.Errorf("%q, want %q", err.Error(), want)
	}
}

func TestContractStorage(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	s := openStore(t, nc, Config{Streams: 1}) // in memory
	cfg := s.Config()
	cfg.Memory = false
	if found := findings(t, nc, cfg); !strings.Contains(found[0].What, "storage") {
		t.Error(found[0])
	}
}

// TestContractWithoutJetStream: a server without JetStream is a finding.
func TestContractWithoutJetStream(t *testing.T) {
	ns := natstest.StartServer(t, server.Options{})
	nc := connect(t, ns.ClientURL())
	err := patiently(func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		_, err := Open(ctx, nc, Config{})
		return err
	})
	var c *ContractError
	if !errors.As(err, &c) || c.Findings[0].What != "JetStream" {
		t.Fatal(err)
	}
}

// TestContractPermissions: a user that may not receive live copies is found
// out, since nothing else would show it.
func TestContractPermissions(t *testing.T) {
	t.Parallel() // the probe waits for what does not come
	ns := natstest.StartServer(t, server.Options{
		JetStream: true,
		Users: []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Deny: []string{scheme.PrefixLive + ">"}},
		}}},
	})
	nc := connect(t, strings.Replace(ns.ClientURL(), "nats://", "nats://u:p@", 1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if found := findings(t, nc, Config{Streams: 1}); !strings.Contains(found[0].Fix, "permissions") {
		t.Error(found[0])
	}
}

// TestContractUnanswered: without a server, CheckContract says so in time.
func TestContractUnanswered(t *testing.T) {
	s := newStore(t, Config{Streams: 1})
	if err := s.js.DeleteStream(t.Context(), "UMF_OUT_0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var c *ContractError
	if err := s.CheckContract(ctx); !errors.As(err, &c) || !strings.Contains(c.Findings[0].What, "UMF_OUT_0") {
		t.Fatal(err)
	}
}
