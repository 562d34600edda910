package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

const (
	acked  = `{"stream":"KV_UMF_SESSIONS","seq":9}`
	busy   = `{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"KV_UMF_SESSIONS","seq":0}`
	fenced = `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 9"},"stream":"KV_UMF_SESSIONS","seq":0}`
)

// TestUpdateBusy: while another write is on its way nothing is decided, so the same
// write is tried again; and one that finds its own first copy on the way is taken
// for what it is.
func TestUpdateBusy(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		err     error
	}{
		"then taken":  {[]string{busy, busy, acked}, nil},
		"then fenced": {[]string{busy, busy, fenced}, ErrFenced},
	} {
		d, r := scripted(t, answer{entry: 9})
		n := 0
		r.writes = func(*nats.Msg) string { n++; return c.answers[n-1] }
		if rev, err := d.Update(natstest.Context(t), scheme.NewSID(), testEntry(), 7); !errors.Is(err, c.err) || err == nil && rev != 9 {
			t.Errorf("%s: %d, %v", name, rev, err)
		}
		if n != len(c.answers) {
			t.Errorf("%s: written %d times", name, n)
		}
	}
	d, r := scripted(t, answer{entry: 9})
	r.writes = func(*nats.Msg) string { return busy }
	result := make(chan error, 1)
	if err := d.UpdateAsync(scheme.NewSID(), testEntry(), 7, 0, func(_ uint64, err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrBusy) || errors.Is(err, ErrFenced) || errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}

// twice sends two writes of one revision, the second one before the first can be
// acknowledged, and returns what became of them.
func twice(t *testing.T, d *Directory, sid scheme.SID, rev uint64) (next uint64, first, second error) {
	t.Helper()
	type outcome struct {
		rev uint64
		err error
	}
	results := [2]chan outcome{make(chan outcome, 1), make(chan outcome, 1)}
	for _, result := range results {
		if err := d.UpdateAsync(sid, testEntry(), rev, 0, func(rev uint64, err error) { result <- outcome{rev, err} }); err != nil {
			t.Fatal(err)
		}
	}
	a, b := <-results[0], <-results[1]
	return a.rev, a.err, b.err
}

// TestBusyReplicated: with replicas, a write that comes while another to its key is
// on the way to the others is refused without saying by whose; one replica compares
// and stores in one step, and never says so.
func TestBusyReplicated(t *testing.T) {
	t.Parallel() // it starts a cluster
	ctx := natstest.Context(t)
	run := func(url string, cfg Config, seen func(second error) bool) {
		s := openReplicated(ctx, t, connect(t, url), cfg)
		d, sid := s.Directory(), scheme.NewSID()
		rev, err := d.Create(ctx, sid, testEntry())
		for more := true; more && err == nil; {
			var second error
			if rev, err, second = twice(t, d, sid, rev); err == nil {
				more = !seen(second)
			} else if errors.Is(err, ErrBusy) { // the copy before it was acknowledged, and is not quite done
				_, rev, err = d.Sure(ctx, sid)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
	n := 0
	run(natstest.Start(t).URL(), Config{Streams: 1}, func(second error) bool {
		if !errors.Is(second, ErrFenced) {
			t.Errorf("one replica: %v", second)
		}
		n++
		return n == 200
	})
	outcomes := make(map[string]int)
	run(natstest.StartCluster(t)[0].URL(), Config{Streams: 1, Replicas: 3}, func(second error) bool {
		switch {
		case errors.Is(second, ErrBusy):
			outcomes["busy"]++
		case errors.Is(second, ErrFenced):
			outcomes["fenced"]++
		default:
			t.Errorf("three replicas: %v", second)
		}
		return outcomes["busy"] > 0 || ctx.Err() != nil || t.Failed()
	})
	if outcomes["busy"] == 0 {
		t.Error("no write was ever met on its way")
	}
	t.Log(fmt.Sprint(outcomes))
}

// TestUpdateUnanswered: the answer to a write was lost, and its repetition is
// refused, at first because the first copy is still on its way. The entry tells
// whose it is.
func TestUpdateUnanswered(t *testing.T) {
	t.Parallel() // it waits for an answer that does not come
	for name, c := range map[string]struct {
		own bool
		err error
	}{"own": {true, nil}, "another's": {false, ErrFenced}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, r := scripted(t, answer{lag: true}, answer{entry: 9, own: c.own})
			answers := []string{"", busy, fenced}
			n := 0
			r.writes = func(*nats.Msg) string { n++; return answers[n-1] }
			if rev, err := d.Update(natstest.Context(t), scheme.NewSID(), testEntry(), 7); !errors.Is(err, c.err) || err == nil && rev != 9 {
				t.Errorf("%d, %v", rev, err)
			}
		})
	}
}
