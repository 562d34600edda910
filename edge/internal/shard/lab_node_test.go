package shard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/crowd"
	"hydrant/edge/internal/ownership"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/tail"
	"hydrant/edge/internal/takeover"
)

// testNode is a node: some loops, and what they share.
type testNode struct {
	*Node
	l      *lab
	shards []*testShard
	pool   *fakePool
	epoch  uint64
	gone   bool // it has been killed
	cut    bool // NATS does not reach it, nor it NATS
	known  map[scheme.SID]store.Found
	routes map[string]func(context.Context) ([]byte, error) // of the router API
	queues fakeQueues

	noRoute protocol.Code // of a route that is not there
	shown   []shown       // to the router API
}

// shown is what a route was asked for with.
type shown struct {
	authorization string
	from          netip.Addr
}

// node starts a node with some loops.
func (l *lab) node(loops int, changes ...func(*Node)) *testNode {
	l.t.Helper()
	cfg, err := config.Default()
	if err != nil {
		l.t.Fatal(err)
	}
	m := stats.New()
	n := &testNode{l: l, epoch: Epoch(1, 0), known: make(map[scheme.SID]store.Found), routes: make(map[string]func(context.Context) ([]byte, error)), noRoute: protocol.CodeNotRoutable}
	n.pool = &fakePool{l: l, n: n}
	id := scheme.NewNodeID()
	n.Node = &Node{
		ID: id, Router: protocol.AppendRouter(nil, string(id), cfg.ServiceName), Config: &cfg,
		Log: slog.New(slog.DiscardHandler), Metrics: m, Started: l.start, Shards: loops, Stopped: l.stopped,
		Guesses:   access.NewGuesses(m.Dropped.Counting(stats.DropGuessTable)),
		ClientLog: stats.NewClientLog(m.Dropped.Counting(stats.DropClientLog)), Traffic: stats.NewTraffic(),
		Tails: tail.NewBudget(int64(cfg.LingerBytes)), Short: new(atomic.Bool), Full: new(atomic.Bool), Connected: new(atomic.Bool), MaxPayload: new(atomic.Int64), Epoch: func() uint64 { return n.epoch },
		Accounts: quota.NewTable(quota.Limits{}, func() {}), Mail: quota.NewMail(cfg.QueueLimit, 16<<20, func() {}),
		Calls: n.pool, Resumes: n.pool, Directory: fakeDirectory{n}, Mailboxes: fakeMailboxes{n}, Queues: &n.queues, Peers: fakePeers{n},
		API: func(path, authorization string, from netip.Addr) (func(context.Context) ([]byte, error), protocol.Code) {
			n.shown = append(n.shown, shown{authorization, from})
			return n.routes[path], n.noRoute
		},
	}
	n.Crowd = crowd.New(cmp.Or(l.passBytes, crowd.Bytes), crowd.Source{Read: n.piece, Stopped: l.stopped, Run: n.pool.SubmitIdle, Epoch: n.Epoch, Ended: m.Passes.Inc, Short: n.Short.Load})
	n.Logs = NewLogs(n.Node, loops)
	n.Connected.Store(true)
	n.MaxPayload.Store(1 << 20)
	for _, change := range changes {
		change(n.Node)
	}
	if n.Rules, err = policy.NewBook(cfg.Policy, cfg.AuthService); err != nil {
		l.t.Fatal(err)
	}
	for i := range loops {
		s := newTestShard(n, i)
		s.Answers(fmt.Sprint(scheme.NodeInbox, ".", id, ".", i, "."))
		n.shards = append(n.shards, s)
		s.post(s.Begin)
	}
	l.nodes = append(l.nodes, n)
	l.run()
	return n
}

// one starts a node with one loop.
func (l *lab) one(changes ...func(*Node)) *testShard { return l.node(1, changes...).shards[0] }

// kill ends the node without a word.
func (n *testNode) kill() {
	n.gone = true
	for _, s := range n.shards {
		for _, k := range s.sockets {
			k.state = socketClosed
		}
	}
}

// cutOff takes NATS away from the node.
func (n *testNode) cutOff() { n.cut = true }

// rejoin gives NATS back, as a new connection.
func (n *testNode) rejoin() {
	n.cut = false
	n.reconnect()
}

// reconnect is a new connection to NATS.
func (n *testNode) reconnect() {
	n.epoch++
	for _, s := range n.shards {
		s.do(func() { s.Connected(n.epoch) })
	}
}

// metric is a counter or gauge by its name, with its label if it has one:
// name{label="value"}.
func (n *testNode) metric(series string) float64 {
	n.l.t.Helper()
	return n.l.metric(n.Metrics.Registry, series)
}

func (l *lab) metric(from prometheus.Gatherer, series string) float64 {
	l.t.Helper()
	families, err := from.Gather()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			text := family.GetName()
			for _, label := range m.GetLabel() {
				text += fmt.Sprintf("{%s=%q}", label.GetName(), label.GetValue())
			}
			if text == series {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	l.t.Fatalf("no metric %s", series)
	return 0
}

// received is how many messages of a kind clients have sent to a shard.
func (s *testShard) received(kind stats.Received) float64 {
	s.l.t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(stats.NewCollector(func() stats.Sample { return stats.Sample{Loops: []stats.Loop{{Tally: s.tally}}} }))
	return s.l.metric(r, fmt.Sprintf("hydrant_messages_received_total{kind=%q}", kind.String()))
}

// counts runs f and waits until the metric has grown.
func (n *testNode) counts(series string, f func()) {
	n.l.t.Helper()
	before := n.metric(series)
	f()
	for end := n.l.now + patience; n.metric(series) <= before; {
		if n.l.now >= end {
			n.l.t.Fatalf("%s stays at %v", series, before)
		}
		n.l.advance(50 * time.Millisecond)
	}
}

// fakePool runs jobs that wait.
type fakePool struct {
	l    *lab
	n    *testNode
	full bool
	held bool
	slow time.Duration
	jobs []func() // held
}

// Submit implements [Calls].
func (p *fakePool) Submit(job func()) bool {
	switch {
	case p.full:
		p.n.Metrics.PoolFull.Inc()
		return false
	case p.held:
		p.jobs = append(p.jobs, job)
	default:
		p.l.after(p.slow, func() { p.start(job) })
	}
	return true
}

// SubmitIdle implements [Calls].
func (p *fakePool) SubmitIdle(job func()) bool { return p.Submit(job) }

func (p *fakePool) start(job func()) {
	if !p.n.gone {
		p.l.spawn(job)
	}
}

// hold keeps all jobs until let.
func (p *fakePool) hold() { p.held = true }

// let runs what was kept.
func (p *fakePool) let() {
	jobs := p.jobs
	p.held, p.jobs = false, nil
	for _, job := range jobs {
		p.start(job)
	}
	p.l.run()
}

// fakeQueues are the work queues: every service has one, unless the test says otherwise.
type fakeQueues struct {
	unknown map[scheme.Service]bool // whether it has one is to be asked, and this is the answer
	err     error                   // instead of an answer
	asked   int
}

// Known implements [Queues], as does Ask.
func (q *fakeQueues) Known(service scheme.Service) bool {
	_, unknown := q.unknown[service]
	return !unknown
}

func (q *fakeQueues) Ask(_ context.Context, service scheme.Service) (bool, error) {
	q.asked++
	return q.unknown[service], q.err
}

// fakePeers asks other nodes of the lab.
type fakePeers struct{ n *testNode }

var errSilence = errors.New("lab: no answer")

// Ask implements [Peers].
func (p fakePeers) Ask(_ context.Context, node scheme.NodeID, r takeover.Request) (ownership.Reply, takeover.Answer, error) {
	l := p.n.l
	none := takeover.Answer{}
	data, err := json.Marshal(r)
	if err != nil {
		l.t.Fatal(err)
	}
	i := slices.IndexFunc(l.nodes, func(n *testNode) bool { return n.ID == node && !n.gone })
	answer, known := l.nats.strangers[node]
	var got takeover.Answer
	switch {
	case known:
		text, kind := answer(data)
		if kind != ownership.Given {
			return kind, none, nil
		}
		got = text
	case i < 0:
		return ownership.Nobody, none, nil
	case p.n.cut || l.nodes[i].cut:
		l.sleep(ownership.Patience)
		return ownership.Silence, none, errSilence
	default:
		text := l.nats.request(l.nodes[i], data, ownership.Patience)
		if text != nil && json.Unmarshal(text, &got) == nil && got.Asking {
			r.Wait, got = true, takeover.Answer{}
			if data, err = json.Marshal(r); err != nil {
				l.t.Fatal(err)
			}
			text = l.nats.request(l.nodes[i], data, takeover.ClientPatience)
		}
		if text == nil {
			return ownership.Silence, none, errSilence
		}
		if err := json.Unmarshal(text, &got); err != nil {
			l.t.Fatal(err)
		}
	}
	return got.Reply(), got, nil
}

// asked is a request of another node as a node takes it: both ways, and the shard
// that has the session answers, or the last one that has not.
func (n *testNode) asked(reply string, data []byte) {
	request, err := takeover.ParseRequest(reply, data)
	if err != nil {
		n.l.t.Fatal(err)
	}
	left := len(n.shards)
	if request.IsTail() {
		i, _ := n.Tails.Place(request.SID)
		s := n.shards[i]
		s.receive(&nats.Msg{Subject: scheme.NodeSubject(n.ID), Reply: reply, Data: data}) // which is nothing to it
		s.post(func() { s.GiveTail(&request, reply) })
		return
	}
	for _, s := range n.shards {
		s.receive(&nats.Msg{Subject: scheme.NodeSubject(n.ID), Reply: reply, Data: data})
		s.post(func() {
			s.HandOver(&request, func(a takeover.Answer) {
				left--
				if a.Found || left == 0 {
					s.Reply(reply, a.Append(nil))
				}
			})
		})
	}
}
