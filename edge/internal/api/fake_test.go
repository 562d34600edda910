package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/discovery"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/stats"
	"hydrant/umf"
)

const (
	testNode  = scheme.NodeID("00112233445566778899aabbccddeeff")
	testSID   = scheme.SID("k7abcdefghijklmnopqrstuvwx")
	testToken = "secret"
	router    = `"00112233445566778899aabbccddeeff@hydra-router:/"`
)

// fakeNode is a node whose state a test sets, with NATS of the test's own.
type fakeNode struct {
	Node
	serving, connected, short bool
	reasons                   map[string]string
	warnings                  []string
	drains                    []string
	logged                    bytes.Buffer
	nats                      fakeNATS
}

// newNode returns a node that serves. change sets what a node has from its start.
func newNode(t *testing.T, change func(*fakeNode)) (*fakeNode, *API) {
	t.Helper()
	cfg, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{serving: true, connected: true, reasons: map[string]string{}}
	m := stats.New()
	n.Node = Node{
		ID: testNode, Router: []byte(router), Version: "1.2.3", Started: time.Now(), Config: &cfg,
		Log: slog.New(slog.NewTextHandler(&n.logged, nil)), Metrics: m,
		Traffic:   stats.NewTraffic(),
		ClientLog: stats.NewClientLog(m.Dropped.Counting(stats.DropClientLog)),
		Guesses:   access.NewGuesses(func() {}), Accounts: quota.NewTable(quota.Limits{}, func() {}), Mail: quota.NewMail(cfg.QueueLimit, 16<<20, func() {}),
		Readiness: func(details bool) (ready bool, reasons []string) {
			for part, why := range n.reasons {
				if details {
					part += ": " + why
				}
				reasons = append(reasons, part)
			}
			return len(reasons) == 0, reasons
		},
		Warnings:      func() []string { return n.warnings },
		Connected:     func() bool { return n.connected },
		ShortOfMemory: func() bool { return n.short },
		Connections:   func() int64 { return 7 },
		Drain:         func(why string) { n.drains = append(n.drains, why) },
		NATS: func() *NATS {
			if !n.serving {
				return nil
			}
			return &NATS{Conn: &n.nats, Store: fakeStore{&n.nats}, Directory: &n.nats, Queues: &n.nats.queues, Discovery: &n.nats}
		},
	}
	if change != nil {
		change(n)
	}
	if n.Rules, err = policy.NewBook(cfg.Policy, cfg.AuthService); err != nil {
		t.Fatal(err)
	}
	a := New(n.Node)
	a.catalog.pause = 0
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return n, a
}

// counted is the sum of a metric.
func (n *fakeNode) counted(t *testing.T, name string) float64 {
	t.Helper()
	sums, err := n.Metrics.Sums()
	if err != nil {
		t.Fatal(err)
	}
	return sums[name]
}

// authSubject is that of the authentication service.
const authSubject = "umf.v1.svc.auth-svcs"

// fakeNATS answers as it is told, and keeps what it was sent.
type fakeNATS struct {
	err              error // of every call
	answer           []byte
	header           nats.Header               // of the answer
	auth             func() (*nats.Msg, error) // the authentication service; nil: as any other
	asked            []string                  // it was asked
	sessions         map[scheme.SID]scheme.Entry
	seen             map[string]bool
	nodes, instances []discovery.Instance
	vitals           map[string]json.RawMessage
	vitalsErr        error
	sent             []sent
	stored           []store.Outgoing
	messages         []*nats.Msg                          // that services were asked with
	services         func(m *nats.Msg) (*nats.Msg, error) // nil: answer
	queues           fakeQueues
	mu               sync.Mutex // of messages
}

// fakeQueues are the work queues: every service has one, unless the test says otherwise.
type fakeQueues struct {
	unknown map[scheme.Service]bool // whether it has one is to be asked, and this is the answer
	err     error                   // instead of an answer
}

func (q *fakeQueues) Known(service scheme.Service) bool {
	_, unknown := q.unknown[service]
	return !unknown
}

func (q *fakeQueues) Ask(_ context.Context, service scheme.Service) (bool, error) {
	return q.unknown[service], q.err
}

// sent is what went to NATS: to a subject, whatever carries it.
type sent struct {
	subject string
	data    string
	ttl     time.Duration
	user    string // Umf-Identity
}

func (f *fakeNATS) take(subject string, data []byte, ttl time.Duration) error {
	return f.takeFrom(nil, subject, data, ttl)
}

func (f *fakeNATS) takeFrom(header nats.Header, subject string, data []byte, ttl time.Duration) error {
	if f.err == nil {
		f.sent = append(f.sent, sent{subject, string(data), ttl, header.Get(scheme.HeaderIdentity)})
	}
	return f.err
}

func (f *fakeNATS) Deliver(_ context.Context, m *nats.Msg) error {
	return f.takeFrom(m.Header, m.Subject, m.Data, 0)
}

func (f *fakeNATS) RequestMsgWithContext(_ context.Context, m *nats.Msg) (*nats.Msg, error) {
	if f.auth != nil && m.Subject == authSubject {
		f.asked = append(f.asked, string(m.Data))
		return f.auth()
	}
	f.mu.Lock()
	f.messages = append(f.messages, &nats.Msg{Subject: m.Subject, Header: m.Header, Data: bytes.Clone(m.Data[:min(len(m.Data), gateLarge)])}) // that is reused
	f.mu.Unlock()
	if f.services != nil {
		return f.services(m)
	}
	return &nats.Msg{Data: f.answer, Header: f.header}, f.takeFrom(m.Header, m.Subject, m.Data, 0)
}

func (f *fakeNATS) Get(_ context.Context, sid scheme.SID) (scheme.Entry, uint64, error) {
	e, exists := f.sessions[sid]
	if !exists {
		return e, 0, store.ErrNoSession
	}
	return e, 1, nil
}

func (f *fakeNATS) Lookup(_ context.Context, sid scheme.SID) (store.Found, error) {
	e, exists := f.sessions[sid]
	if !exists {
		return store.Found{}, f.err
	}
	return store.FoundSession(e.Identity), f.err
}

func (f *fakeNATS) Once(_ context.Context, name string, _ time.Duration) error {
	if f.seen[name] {
		return store.ErrSeen
	}
	if f.seen == nil {
		f.seen = make(map[string]bool)
	}
	f.seen[name] = true
	return f.err
}

func (f *fakeNATS) List(_ context.Context, fn func(scheme.SID, scheme.Entry) bool) error {
	for sid, e := range f.sessions {
		if !fn(sid, e) {
			break
		}
	}
	return f.err
}

func (f *fakeNATS) Nodes(context.Context) ([]discovery.Instance, error)    { return f.nodes, f.err }
func (f *fakeNATS) Services(context.Context) ([]discovery.Instance, error) { return f.instances, f.err }

func (f *fakeNATS) ServicesSince(context.Context, time.Time) ([]discovery.Instance, error) {
	return f.instances, f.err
}

func (f *fakeNATS) Vitals(context.Context) (map[string]json.RawMessage, error) {
	return f.vitals, f.vitalsErr
}

// fakeStore is the store of a fakeNATS.
type fakeStore struct{ *fakeNATS }

func (f fakeStore) Publish(_ context.Context, sid scheme.SID, out store.Outgoing) (uint64, error) {
	f.stored = append(f.stored, out)
	return 1, f.take(scheme.MailboxSubject(sid), out.Payload, out.TTL)
}

func (f fakeStore) EnqueueWork(_ context.Context, service scheme.Service, out store.Outgoing) (uint64, error) {
	f.stored = append(f.stored, out)
	return 1, f.takeFrom(out.Header, scheme.WorkSubject(service), out.Payload, out.TTL)
}

// reply is an answer over HTTP.
type reply struct {
	status      int
	header      http.Header
	body        string
	description string // of the envelope: the reason, if it has one
	result      string
}

// ask sends a request to a handler.
func ask(t *testing.T, h http.Handler, method, path, body string, header http.Header) reply {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	if host, ok := header["Host"]; ok {
		r.Host = host[0]
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got := reply{status: w.Code, header: w.Header(), body: w.Body.String()}
	var e struct {
		StatusCode        int
		StatusMessage     string
		StatusDescription string
		Result            json.RawMessage
	}
	if json.Unmarshal(w.Body.Bytes(), &e) == nil && e.StatusCode != 0 {
		message := http.StatusText(w.Code)
		if w.Code == http.StatusInternalServerError {
			message = "Server Error"
		}
		if e.StatusCode != w.Code || e.StatusMessage != message || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: status %d with %v and the envelope %s", method, path, w.Code, w.Header(), w.Body)
		}
		got.description, got.result = e.StatusDescription, string(e.Result)
		var why struct{ Reason string }
		if json.Unmarshal(e.Result, &why) == nil && why.Reason != "" {
			got.description = why.Reason
			if got.result == `{"reason":`+string(umf.AppendString(nil, why.Reason))+`}` {
				got.result = "{}" // nothing beside it
			}
		}
	}
	return got
}

// bearer is the header of a caller who has a token.
func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// somewhere is where a client comes from.
var somewhere = netip.MustParseAddr("192.0.2.9")

// loopback is where the administrators' listener is by default.
var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9353}

// atHome is the administrators' listener, asked on this machine.
func atHome(a *API) http.Handler { return at(a, loopback) }

// at is the administrators' listener at an address.
func at(a *API, address net.Addr) http.Handler { return &named{a.Admin(address)} }

// named has requests without a Host of their own name localhost.
type named struct{ h http.Handler }

func (n *named) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Host == "example.com" { // httptest's
		r.Host = "localhost:9353"
	}
	n.h.ServeHTTP(w, r)
}
