package edge

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/shard"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/takeover"
	"hydrant/integration/harness"
)

// stuckDialer connects to a server that stops reading when it is told to.
type stuckDialer struct {
	stuck   atomic.Bool
	writing chan struct{} // gets one for the first write that does not return
	free    chan struct{} // closed by the test: writes return again
}

func (d *stuckDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &stuckConn{conn, d}, err
}

type stuckConn struct {
	net.Conn
	*stuckDialer
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.stuck.Load() {
		select {
		case c.writing <- struct{}{}:
		default:
		}
		<-c.free
	}
	return c.Conn.Write(p)
}

// stopsReading makes NATS read no more of what the node sends, and returns when
// nats.go has come to that: it holds its lock until the test ends. The reader's
// session is served by then; the way there has lost a connection.
func (r *running) stopsReading(c, reader *harness.Client) {
	r.t.Helper()
	d := &stuckDialer{writing: make(chan struct{}, 1), free: make(chan struct{})}
	r.nats.link.Load().conn.Opts.CustomDialer = d
	before := r.epoch() // takes the lock, so that the dialer is seen
	r.network.Cut()
	r.until(func() error {
		if r.epoch() == before || !r.nats.connected.Load() {
			return errNotYet
		}
		return nil
	})
	r.store(reader, 1, 2)
	r.gets(reader, 1, 2)
	d.stuck.Store(true)
	r.t.Cleanup(func() { close(d.free) })
	r.send(c, harness.Object{"to": "svc:[GET]/p", "bdy": 1})
	<-d.writing
}

// TestNATSStopsReading: nats.go holds the lock that nearly all of its calls take
// while it writes to a server that does not read. A loop takes no such call:
// whatever clients send or do meanwhile, and whatever is due, all are served.
func TestNATSStopsReading(t *testing.T) {
	r := run(t)
	dial := func() *harness.Client { return r.dial(harness.DialOptions{}) }
	c, to, elsewhere, resumes, leaves, goes := dial(), dial(), dial(), dial(), dial(), dial()
	acked := r.dial(harness.DialOptions{Acked: true})
	away, awayToo := dial(), dial()
	away.Close()
	awayToo.Close()
	r.send(c, harness.Object{"to": to.Address(), "mid": "known", "bdy": 1}) // its session is looked up
	if _, err := to.Find(t.Context(), func(m harness.Message) bool { return m.Mid() == "known" }); err != nil {
		t.Fatal(err)
	}
	r.store(acked, 0, 1)
	stored, err := acked.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entry, _, err := r.nats.link.Load().directory.Sure(t.Context(), scheme.SID(goes.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.nats.link.Load().store.Queues().Keep(t.Context(), []scheme.Service{"svc"}); err != nil {
		t.Fatal(err)
	}
	epoch := r.epoch()
	r.stopsReading(c, acked)

	router := func(typ string, body any) harness.Object {
		return harness.Object{"to": "hydra-router:/", "typ": typ, "bdy": body}
	}
	forward := func(path, to string) harness.Object {
		return harness.Object{"to": "hydra-router:" + path, "fwd": to, "bdy": 1}
	}
	for _, test := range []struct {
		from    *harness.Client
		kind    stats.Received
		message harness.Object
	}{
		{c, stats.InService, harness.Object{"to": "svc:/", "bdy": 1}},
		{c, stats.InService, harness.Object{"to": "one@svc:/", "bdy": 1}},
		{c, stats.InRequest, harness.Object{"to": "svc:[GET]/p", "bdy": 1}},
		{c, stats.InClient, harness.Object{"to": to.Address(), "bdy": 1}},
		{c, stats.InClient, harness.Object{"to": elsewhere.Address(), "ttl": 5, "bdy": 1}},
		{c, stats.InClient, harness.Object{"to": string(scheme.NewSID()) + "@client:/", "bdy": "nobody knows it"}},
		{c, stats.InClient, harness.Object{"to": r.ID() + "-" + to.ID + "@hydra-router:/", "bdy": 1}},
		{c, stats.InService, forward("/", "svc:/")},
		{c, stats.InClient, forward("/", to.Address())},
		{c, stats.InWork, forward("/queue", "svc:/")},
		{c, stats.InAPI, harness.Object{"to": "hydra-router:[GET]/v1/router/list/nodes", "bdy": 1}},
		{c, stats.InAPI, harness.Object{"to": "hydra-router:[GET]/v1/router/health", "bdy": 1}},
		{c, stats.InWsdir, router("wsdir.loc", harness.Object{"clientID": to.ID})},
		{c, stats.InLog, router("log", "a line")},
		{acked, stats.InAck, router("ack", harness.Object{"seq": strconv.FormatUint(stored.Seq(), 10)})},
		{resumes, stats.InResume, router("reconnect", harness.Object{"id": away.ID})},
		{acked, stats.InResume, router("reconnect", harness.Object{"id": awayToo.ID, "token": awayToo.Token, "seq": "1"})},
		{leaves, stats.InUnrecognized, router("nonsense", 1)}, // closes it
	} {
		r.moves(`hydrant_messages_received_total{kind="`+test.kind.String()+`"}`, func() { r.send(test.from, test.message) })
		r.goOn(fmt.Sprint(test.message))
	}
	busy := r.pool.Busy()
	r.until(func() error { // sweeps follow, and wait for NATS; what waited before may end meanwhile
		r.handler.Missed()
		now := r.pool.Busy()
		if now <= busy {
			busy = now
			return fmt.Errorf("%d workers are busy", now)
		}
		return nil
	})
	r.goOn("a sweep")
	request := takeover.NewRequest(takeover.Key{SID: scheme.SID(goes.ID), Holder: entry.Holder}, 0)
	for what, do := range map[string]func(*shard.Shard){
		"a new leader":            func(s *shard.Shard) { s.LeaderChanged(0) },
		"a lost connection":       func(s *shard.Shard) { s.Connected(epoch + 2) }, // stopsReading has lost one
		"a request to hand over":  func(s *shard.Shard) { s.HandOver(&request, func(takeover.Answer) {}) },
		"a reply to another node": func(s *shard.Shard) { s.Reply("reply", nil) },
	} {
		go r.all(do)
		r.goOn(what)
	}
	addr := strings.TrimSuffix(strings.TrimPrefix(r.url, "ws://"), "/")
	if _, err := harness.Get("http://" + addr + "/readyz"); err != nil {
		t.Error(err)
	}
	r.moves("hydrant_connects_total", func() {
		raw, err := harness.DialRaw(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		if err := raw.Upgrade(); err != nil {
			t.Fatal(err)
		}
	})
	r.moves(`hydrant_closes_total{reason="peer"}`, to.Close)
	r.goOn("the end of a client")
	r.serves(c)
}
