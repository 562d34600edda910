package client

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"hydrant/umf"
)

// A NATS server that is shut down while a peer has it make a stream may leave that
// stream's store behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// A fakeNode is the other end of all connections of a client. The test plays it, in a
// bubble with a clock of its own.
type fakeNode struct {
	t        *testing.T
	listener pipes
	server   *http.Server

	mu     sync.Mutex
	peers  []*peer
	got    []*Delivery
	gaps   []*Gap
	errors []string // codes that the log has
	told   []Session
}

// peer is one connection, seen from the node.
type peer struct {
	offer []string
	ws    *websocket.Conn

	mu     sync.Mutex
	sent   []*umf.Message // by the client, but for confirmations
	acks   []string
	looked int
	left   bool
	deaf   chan struct{} // closed: reads on
}

// pipes is a network without sockets, which a bubble's clock would not wait for.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func newNode(t *testing.T) *fakeNode {
	n := &fakeNode{t: t, listener: make(pipes)}
	n.server = &http.Server{Handler: http.HandlerFunc(n.accept)}
	go func() { _ = n.server.Serve(n.listener) }()
	t.Cleanup(func() {
		close(n.listener)
		_ = n.server.Close()
	})
	return n
}

func (n *fakeNode) options() Options {
	dial := func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		n.listener <- there
		return here, nil
	}
	return Options{
		URLs:       []string{"ws://node"},
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
		Logger:     slog.New(logged{n}),
		OnSession: func(s Session) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.told = append(n.told, s)
		},
	}
}

// logged remembers the codes of what is told to nobody else.
type logged struct{ n *fakeNode }

func (h logged) Enabled(context.Context, slog.Level) bool { return true }
func (h logged) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h logged) WithGroup(string) slog.Handler            { return h }
func (h logged) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return nil
	}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "code" {
			h.n.errors = append(h.n.errors, a.Value.String())
		}
		return true
	})
	return nil
}

func (n *fakeNode) accept(w http.ResponseWriter, r *http.Request) {
	var offer []string
	for _, p := range strings.Split(r.Header.Get("Sec-WebSocket-Protocol"), ",") {
		offer = append(offer, strings.TrimSpace(p))
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocolAck}})
	if err != nil {
		n.t.Error(err)
		return
	}
	ws.SetReadLimit(-1)
	p := &peer{offer: offer, ws: ws}
	n.mu.Lock()
	n.peers = append(n.peers, p)
	n.mu.Unlock()
	p.read(n.t)
}

func (p *peer) read(t *testing.T) {
	for {
		_, text, err := p.ws.Read(context.Background())
		p.mu.Lock()
		deaf := p.deaf
		if err != nil {
			p.left = true
			p.mu.Unlock()
			_ = p.ws.CloseNow()
			return
		}
		m, err := umf.Parse(text)
		switch {
		case err != nil:
			t.Errorf("the client sent %q: %v", text, err)
		case m.Type == "ack":
			seq, _ := umf.MemberText(m.Body, "seq")
			p.acks = append(p.acks, seq)
		default:
			p.sent = append(p.sent, m)
		}
		p.mu.Unlock()
		if deaf != nil {
			<-deaf
		}
	}
}

func (n *fakeNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.peers)
}

func (n *fakeNode) last() *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.peers) == 0 {
		n.t.Fatal("no connection")
	}
	return n.peers[len(n.peers)-1]
}

// say sends a message, or text as it is.
func (p *peer) say(t *testing.T, m any) {
	t.Helper()
	text, ok := m.(string)
	if !ok {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	if err := p.ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		t.Logf("said to a client that has gone: %v", err)
	}
	synctest.Wait()
}

// end closes the connection with a code; 1006: without one.
func (p *peer) end(code int, reason string) {
	if code == 1006 {
		_ = p.ws.CloseNow()
	} else {
		_ = p.ws.Close(websocket.StatusCode(code), reason)
	}
	synctest.Wait()
}

// of are the messages that were sent for others than the router.
func (p *peer) of() (all []*umf.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.sent {
		if !strings.HasSuffix(m.To, "router:/") {
			all = append(all, m)
		}
	}
	return all
}

type object map[string]any

const router = "R1@hydra-router:/"

func (p *peer) welcome(t *testing.T, more object) {
	t.Helper()
	body := object{"id": "S1", "token": "T1", "caps": []string{"resume", "ack", "accepted", "auth"}, "ttl": 60, "hb": 25, "win": 256, "now": time.Now().UnixMilli()}
	for key, value := range more {
		body[key] = value
	}
	p.say(t, object{"to": "S1@client:/", "frm": router, "mid": "w", "typ": "connection", "bdy": body})
}

func message(n int, more object) object {
	m := object{"to": "S1@client:/", "frm": "svc:/", "mid": "m" + itoa(n), "hdr": object{"x-seq": itoa(n), "x-prev": itoa(n - 1)}, "bdy": object{"n": n}}
	for key, value := range more {
		m[key] = value
	}
	return m
}

func accepted(m *umf.Message) object {
	return object{"to": "S1@client:/", "frm": router, "mid": "a", "rmid": m.Mid, "typ": "accepted", "bdy": object{}}
}

func refusedAs(m *umf.Message, body object) object {
	return object{"to": "client:/", "frm": router, "mid": "e", "rmid": m.Mid, "typ": "error", "bdy": body}
}

func itoa(n int) string {
	raw, _ := json.Marshal(n)
	return string(raw)
}

// An outcome is what a call returned: "" as long as it has not.
type outcome struct {
	mu   sync.Mutex
	told []string
}

func (o *outcome) is() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.told, " and ")
}

func word(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

func send(c *Client, m Message) *outcome {
	o := new(outcome)
	go func() {
		err := c.Send(context.Background(), m)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told = append(o.told, word(err))
	}()
	synctest.Wait()
	return o
}

func request(ctx context.Context, c *Client, m Message) *outcome {
	o := new(outcome)
	go func() {
		answer, err := c.Request(ctx, m)
		o.mu.Lock()
		defer o.mu.Unlock()
		if err != nil {
			o.told = append(o.told, word(err))
		} else {
			o.told = append(o.told, string(answer.Body))
		}
	}()
	synctest.Wait()
	return o
}

// dial begins a client, and does not wait for it.
func (n *fakeNode) dial(o Options) *dialling {
	ctx, cancel := context.WithCancel(context.Background())
	d := &dialling{n: n, done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(d.done)
		d.c, d.err = Dial(ctx, o)
	}()
	synctest.Wait()
	return d
}

type dialling struct {
	n      *fakeNode
	c      *Client
	err    error
	done   chan struct{}
	cancel context.CancelFunc
}

// client waits until it has a session. What it gets is handled at once, if it may be.
func (d *dialling) client(handle bool) *Client {
	<-d.done
	if d.err != nil {
		d.n.t.Fatal(d.err)
	}
	d.n.t.Cleanup(func() {})
	if handle {
		go d.n.receive(d.c)
	}
	synctest.Wait()
	return d.c
}

func (d *dialling) close() {
	d.cancel()
	<-d.done
	if d.c != nil {
		d.c.Close()
	}
}

func (n *fakeNode) receive(c *Client) {
	for {
		d, err := c.Receive(context.Background())
		if err != nil {
			return
		}
		n.mu.Lock()
		if d.Gap != nil {
			n.gaps = append(n.gaps, d.Gap)
		} else {
			n.got = append(n.got, d)
		}
		n.mu.Unlock()
		d.Done()
	}
}

// bodies are those of what was received.
func (n *fakeNode) bodies() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, d := range n.got {
		all = append(all, string(d.Body))
	}
	return strings.Join(all, " ")
}
