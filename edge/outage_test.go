package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/integration/harness"
)

// beside is a node whose NATS a test puts out of order, with its log.
type beside struct {
	*Node
	t     *testing.T
	log   lines
	admin string // address of the administrators' listener
	ended chan error
}

// launch runs a node and does not wait for anything.
func launch(t *testing.T, natsURL string, change func(*Config)) *beside {
	t.Helper()
	return launchWith(t, natsURL, change, Options{})
}

func launchWith(t *testing.T, natsURL string, change func(*Config), o Options) *beside {
	t.Helper()
	cfg, err := DefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	b := &beside{t: t, ended: make(chan error, 1)}
	if b.admin, err = harness.FreeAddr(); err != nil {
		t.Fatal(err)
	}
	cfg.Listen, cfg.AdminListen, cfg.MailboxStreams, cfg.DrainTimeout = "127.0.0.1:0", b.admin, 2, 0
	cfg.HandshakeTimeout = harness.Patience
	cfg.RateMessages, cfg.RateBytes = 0, 0 // tests ask again as fast as they are answered
	if change != nil {
		change(&cfg)
	}
	o.Logger = b.log.logger()
	if b.Node, err = New(cfg, bus.Config{URL: natsURL}, o); err != nil {
		t.Fatal(err)
	}
	go func() { b.ended <- b.Run(context.Background()) }()
	t.Cleanup(func() {
		b.Drain("end of the test")
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	return b
}

// stop drains the node, and returns what Run returns. Without it that is done when
// the test has ended, and a server that was started after the node is gone by then:
// the node would wait for it until the time of the drain is over.
func (b *beside) stop(why string) error {
	b.Drain(why)
	err := <-b.ended
	b.ended <- err
	return err
}

// until waits for a condition.
func (b *beside) until(condition func() error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.t.Context()), harness.Patience)
	defer cancel()
	if err := harness.Until(ctx, condition); err != nil {
		b.t.Fatalf("%v\n%s", err, b.log.String())
	}
}

// reason waits until the node is not ready for a reason that holds all of these.
func (b *beside) reason(pieces ...string) {
	b.t.Helper()
	b.until(func() error {
		_, reasons := b.ready.reasons(true)
		for _, piece := range pieces {
			if !strings.Contains(strings.Join(reasons, "; "), piece) {
				return fmt.Errorf("waits for %q, and not for %q", reasons, piece)
			}
		}
		return nil
	})
}

// well waits until the node is ready.
func (b *beside) well() {
	b.t.Helper()
	b.until(func() error {
		if ready, reasons := b.ready.reasons(true); !ready {
			return fmt.Errorf("not ready: %q", reasons)
		}
		return nil
	})
}

// events is how often something happened to the connection.
func (b *beside) events(what string) float64 {
	b.t.Helper()
	families, err := b.metrics.Registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "hydrant_nats_events_total" && m.GetLabel()[0].GetValue() == what {
				return m.GetCounter().GetValue()
			}
		}
	}
	b.t.Fatalf("no event %s", what)
	return 0
}

// dial connects a client.
func (b *beside) dial() *harness.Client {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), harness.Patience)
	defer cancel()
	addr, err := b.Addr(ctx)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.log.String())
	}
	c, err := harness.Dial(b.t.Context(), "ws://"+addr+"/", harness.DialOptions{})
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.log.String())
	}
	b.t.Cleanup(c.Drop)
	return c
}

// codeOf is the code of an error that answers a message; empty: it was none.
func (b *beside) codeOf(c *harness.Client, message harness.Object) string {
	b.t.Helper()
	m, err := c.Call(context.WithoutCancel(b.t.Context()), message)
	if err != nil {
		b.t.Fatal(err)
	}
	code, _ := m.At("bdy", "code").(string)
	return code
}

// passes sends messages from one client to another, through the mailbox, until one
// arrives: what is sent while they do not is lost.
func (b *beside) passes(from, to *harness.Client) {
	b.t.Helper()
	sent := make(map[string]bool)
	b.until(func() error {
		mid := from.Mid()
		sent[mid] = true
		if err := from.Send(harness.Object{"to": to.Address(), "frm": from.Address(), "mid": mid, "bdy": 1}); err != nil {
			b.t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Second)
		defer cancel()
		_, err := to.Find(ctx, func(m harness.Message) bool { return sent[m.Mid()] })
		return err
	})
}

// natsOn starts a server. o.Port 0 takes a free one.
func natsOn(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog, o.JetStream = "127.0.0.1", true, true, true
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	ns, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(harness.Patience) {
		t.Fatal("the server does not start")
	}
	return ns
}

// answering runs a service that answers every request.
func answering(t *testing.T, url string) {
	t.Helper()
	nc, err := harness.ConnectNATS(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if _, err := nc.Subscribe("umf.v1.svc.svc", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"to":"x@client:/","frm":"svc:/","mid":"a","bdy":{"answer":42}}`))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestConnectionGivenUp: nats.go gives a connection up for an error of the server
// that it does not know, such as a message over a max_payload that was lowered
// meanwhile. The node makes another connection. Its clients stay, get what is stored
// for them and what they ask for, and are refused what NATS does not take.
func TestConnectionGivenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ns := natsOn(t, server.Options{MaxPayload: 1 << 20, StoreDir: dir})
	answering(t, ns.ClientURL())
	b := launch(t, ns.ClientURL(), func(c *Config) { c.RequestTimeout = harness.Patience })
	from, to := b.dial(), b.dial()
	b.passes(from, to)

	lower := server.Options{Host: "127.0.0.1", Port: ns.Addr().(*net.TCPAddr).Port, NoSigs: true, NoLog: true, JetStream: true,
		StoreDir: dir, MaxPayload: 64 << 10}
	if err := ns.ReloadOptions(&lower); err != nil {
		t.Fatal(err)
	}
	large := harness.Object{"to": "svc:/", "frm": from.Address(), "mid": "large", "bdy": strings.Repeat("x", 200<<10)}
	if err := from.Send(large); err != nil {
		t.Fatal(err)
	}
	b.until(func() error {
		if b.events("closed") == 0 || b.nats.link.Load().number == 0 {
			return errors.New("the connection is what it was")
		}
		return nil
	})
	b.well()
	b.passes(from, to)
	b.passes(to, from)
	if m, err := from.Call(t.Context(), harness.Object{"to": "svc:[GET]/p", "frm": from.Address(), "bdy": 1}); err != nil || m.At("bdy", "answer") == nil {
		t.Errorf("a request is answered with %s, %v", m.Raw, err)
	}
	delete(large, "mid")
	if code := b.codeOf(from, large); code != "too_large" {
		t.Errorf("what NATS does not take any more is answered with the code %q", code)
	}
	if n := b.events("closed"); n != 1 {
		t.Errorf("%v connections were given up", n)
	}
	if !from.Alive() || !to.Alive() {
		t.Error("a client is gone")
	}
	if log := b.log.String(); !strings.Contains(log, "Maximum Payload Violation") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	late := b.dial() // and those that come now
	b.passes(late, to)
}

// tap stands between the node and NATS. The node is told of another max_payload than
// the server has.
type tap struct {
	listener net.Listener

	// Guarded by mu.
	mu    sync.Mutex
	limit int
	node  net.Conn // the last one
	info  string   // the first line that it got
	whole bool     // what it got last ends an operation, as far as can be seen
}

func newTap(t *testing.T, target string) *tap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{listener: listener, limit: 64 << 10}
	var passing sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		passing.Wait()
	})
	passing.Go(func() {
		for {
			node, err := listener.Accept()
			if err != nil {
				return
			}
			nats, err := net.Dial("tcp", target)
			if err != nil {
				_ = node.Close()
				continue
			}
			passing.Go(func() { tp.pass(nats, node, false) })
			passing.Go(func() { tp.pass(node, nats, true) })
		}
	})
	return tp
}

func (tp *tap) pass(to, from net.Conn, toNode bool) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for first := toNode; ; first = false {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		chunk := buffer[:n]
		tp.mu.Lock()
		if first {
			info, rest, _ := bytes.Cut(chunk, []byte("\r\n"))
			tp.node, tp.info = to, string(info)
			chunk = append(tp.limited(), rest...)
		} else if toNode { // the server may tell of its own limit again
			chunk = bytes.ReplaceAll(chunk, []byte(`"max_payload":1048576`), fmt.Appendf(nil, `"max_payload":%d`, tp.limit))
		}
		if toNode {
			tp.whole = bytes.HasSuffix(chunk, []byte("\r\n"))
		}
		_, err = to.Write(chunk)
		tp.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// limited is the server's INFO with the tap's max_payload. The caller holds mu.
func (tp *tap) limited() []byte {
	fields := make(map[string]any)
	_ = json.Unmarshal([]byte(strings.TrimPrefix(tp.info, "INFO ")), &fields) // else the node complains
	fields["max_payload"] = tp.limit
	text, _ := json.Marshal(fields)
	return append(append([]byte("INFO "), text...), "\r\n"...)
}

// tell has the server tell of another max_payload, as it does with its next INFO.
func (b *beside) tell(tp *tap, limit int) {
	b.t.Helper()
	b.until(func() error {
		tp.mu.Lock()
		defer tp.mu.Unlock()
		if !tp.whole {
			return errors.New("in the middle of an operation")
		}
		tp.limit = limit
		_, err := tp.node.Write(tp.limited())
		return err
	})
}

// TestMaxPayloadOfTheMoment: the limit is the one that the server told of last, be it
// higher or lower than at first, and what is over it is refused before NATS sees it.
func TestMaxPayloadOfTheMoment(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{MaxPayload: 1 << 20})
	tp := newTap(t, strings.TrimPrefix(ns.ClientURL(), "nats://"))
	b := launch(t, "nats://"+tp.listener.Addr().String(), nil)
	c := b.dial()
	large := harness.Object{"to": "svc:/", "frm": c.Address(), "bdy": strings.Repeat("x", 200<<10)}
	refused := func(want bool) {
		t.Helper()
		b.until(func() error {
			if code := b.codeOf(c, large); (code == "too_large") != want {
				return fmt.Errorf("answered with %q", code)
			}
			return nil
		})
	}
	refused(true)
	b.tell(tp, 1<<20)
	refused(false)
	b.tell(tp, 64<<10)
	refused(true)
	if n := b.events("closed"); n > 0 {
		t.Errorf("%v connections were given up", n)
	}
}

// hangingDialer never returns until the test is over.
type hangingDialer struct {
	dialled chan struct{} // gets one for the first call
	over    chan struct{} // closed by the test
}

func (d hangingDialer) Dial(string, string) (net.Conn, error) {
	select {
	case d.dialled <- struct{}{}:
	default:
	}
	<-d.over
	return nil, errors.New("over")
}

// TestDrainWhileNATSHangs: nats.go holds its lock while it dials, and a dialer may
// hang for longer than anybody waits. A drain ends all the same.
func TestDrainWhileNATSHangs(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{})
	b := launch(t, ns.ClientURL(), nil)
	c := b.dial()
	d := hangingDialer{make(chan struct{}, 1), make(chan struct{})}
	defer close(d.over)
	conn := b.nats.link.Load().conn
	conn.Opts.CustomDialer = d
	_ = conn.Stats() // takes the lock, so that the dialer is seen
	ns.Shutdown()
	<-d.dialled
	_ = b.stop("test") // or the test never ends
	if code, _, err := c.Closed(context.WithoutCancel(t.Context())); code != 1012 {
		t.Errorf("the client was closed with %d, %v", code, err)
	}
}

// TestWaitsForNATS: from the first moment on the log says what a node waits for, and
// then each change, and the node can be told to stop.
func TestWaitsForNATS(t *testing.T) {
	t.Parallel()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	b := launch(t, "nats://u:s3cret@"+addr, nil)
	b.until(func() error {
		if log := b.log.String(); !strings.Contains(log, `for=nats why="asks nats://u:xxxxx@`+addr) {
			return fmt.Errorf("the log says %s", log)
		}
		return nil
	})
	b.reason("nats: ", "no servers available")
	u, err := url.Parse("nats://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(u.Port(), &port); err != nil {
		t.Fatal(err)
	}
	natsOn(t, server.Options{Port: port})
	b.well()
	log := b.log.String()
	last := 0
	log = strings.ReplaceAll(log, " node="+b.ID(), "")
	for _, line := range []string{"=waiting for=nats why=\"asks", "=waiting for=nats why=\"bus: connect", "no longer waiting\" for=nats",
		"=waiting for=store", "no longer waiting\" for=store", "no longer waiting\" for=listener", "msg=ready"} {
		at := strings.Index(log, line)
		if at < last {
			t.Errorf("%q is not where it should be in\n%s", line, log)
		}
		last = max(at, last)
	}
	if strings.Contains(log, "s3cret") {
		t.Error("the log has the password")
	}
	if err := b.stop("end of the test"); err != nil {
		t.Error(err)
	}
}

// TestWaitsForItsOwnNATS: while the server inside the process opens its store, which
// may take its time, the node says so, and can be told to stop.
func TestWaitsForItsOwnNATS(t *testing.T) {
	t.Parallel()
	ns := natsOn(t, server.Options{})
	opened := make(chan struct{})
	start := func() (string, error) {
		<-opened
		return ns.ClientURL(), nil
	}
	b := launchWith(t, "", nil, Options{StartNATS: start})
	b.until(func() error {
		text, err := harness.Get("http://" + b.admin + "/readyz")
		if err == nil {
			return fmt.Errorf("ready: %s", text)
		}
		if !strings.Contains(err.Error(), "nats: the server inside the process opens its store") {
			return err
		}
		return nil
	})
	told := launchWith(t, "", nil, Options{StartNATS: start})
	if err := told.stop("told to stop while it waits"); err != nil {
		t.Errorf("told to stop, it returns %v", err)
	}
	close(opened)
	b.well()
	b.passes(b.dial(), b.dial())
}

// TestWaitsForAQuorum: one server of three stores nothing, and the node says so.
func TestWaitsForAQuorum(t *testing.T) {
	t.Parallel()
	dead, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	routes := server.RoutesFromStr("nats://" + dead + ",nats://127.0.0.1:1")
	ns := natsOn(t, server.Options{ServerName: "a", Cluster: server.ClusterOpts{Name: "C", Host: "127.0.0.1", Port: server.RANDOM_PORT}, Routes: routes})
	b := launch(t, ns.ClientURL(), nil)
	b.reason("store: ", "without a quorum")
	if log := b.log.String(); !strings.Contains(log, "without a quorum") || strings.Contains(log, "listener open") {
		t.Errorf("the log says\n%s", log)
	}
	if err := b.stop("told to stop while it waits"); err != nil {
		t.Errorf("told to stop, it returns %v", err)
	}
}

// TestReaderOfTheMoment: what reads a mailbox goes on reading it over another
// connection.
func TestReaderOfTheMoment(t *testing.T) {
	ns := natsOn(t, server.Options{})
	n := new(Node)
	link := func(number uint64) *uplink {
		nc, err := harness.ConnectNATS(ns.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		s, err := store.Open(t.Context(), nc, store.Config{Streams: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		l := &uplink{number: number, conn: nc, store: s}
		n.nats.link.Store(l)
		return l
	}
	first := link(0)
	sid := scheme.NewSID()
	if _, err := first.store.Publish(t.Context(), sid, store.Outgoing{Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		batch, err := mailboxes{n}.Read(t.Context(), sid, 1, 0, 10, 1<<20)
		if err != nil || len(batch.Msgs) != 1 {
			t.Fatalf("%d messages, %v", len(batch.Msgs), err)
		}
		first.store.Close()
		first.conn.Close()
		link(1)
	}
}
