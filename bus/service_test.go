package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/umf"
)

// fixture is a store, a service on its own connection, and a client's node as
// far as a service sees one.
type fixture struct {
	store *nodeStore
	svc   *Service
	node  scheme.NodeID
	id    scheme.SID
	sid   string             // id, as a service has it
	live  *nats.Subscription // copies of the session's mailbox
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newFixture starts a service that register has given its handlers.
func newFixture(t *testing.T, cfg ServiceConfig, register func(s *Service) error) *fixture {
	t.Helper()
	return newFixtureWith(t, cfg, jet.WorkAckWait, register)
}

// newFixtureWith is newFixture for a service whose work queue, if it takes from one, is
// registered with this AckWait.
func newFixtureWith(t *testing.T, cfg ServiceConfig, ackWait time.Duration, register func(s *Service) error) *fixture {
	t.Helper()
	f := &fixture{store: newStore(t, store.Config{Streams: 1}), node: scheme.NewNodeID(), id: scheme.NewSID()}
	f.sid = string(f.id)
	cfg.Name = cmp.Or(cfg.Name, "echo-svcs")
	cfg.Logger = cmp.Or(cfg.Logger, quiet())
	svc, err := NewService(connect(t, f.store.nc.ConnectedUrl()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.svc = svc
	if err := register(svc); err != nil {
		t.Fatal(err)
	}
	if svc.work != nil {
		f.registerQueue(t, ackWait)
	}
	if err := svc.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.Stop(natstest.Context(t)); err != nil && !errors.Is(err, ErrDrain) {
			t.Error(err)
		}
	})
	subject := scheme.LiveWildcard(f.id)
	if f.live, err = f.store.nc.SubscribeSync(subject); err != nil {
		t.Fatal(err)
	}
	if err := f.store.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return f
}

// registerQueue does what an installer does, with an AckWait of the test's.
func (f *fixture) registerQueue(t *testing.T, ackWait time.Duration) {
	t.Helper()
	c := jet.WorkConsumer(f.svc.name)
	c.AckWait = ackWait
	if err := store.RegisterQueues(natstest.Context(t), f.store.nc, f.svc.name); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.js.UpdateConsumer(natstest.Context(t), scheme.WorkStream, c); err != nil {
		t.Fatal(err)
	}
}

// send publishes a client's message as a node does.
func (f *fixture) send(t testing.TB, to, typ, mid string, body any) {
	t.Helper()
	m := f.message(t, to, typ, mid, body)
	if err := f.store.nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) message(t testing.TB, to, typ, mid string, body any) *nats.Msg {
	t.Helper()
	m, err := umf.New(to, f.sid+"@client:/", body)
	if err != nil {
		t.Fatal(err)
	}
	m.Mid, m.Type = mid, typ
	m.Via = umf.ViaAddress(string(f.node), f.sid, "hydra-router").String()
	a, err := umf.ParseAddress(to)
	if err != nil {
		t.Fatal(err)
	}
	subject := scheme.ServiceSubject(scheme.Service(a.Service))
	if a.Instance != "" {
		subject = scheme.InstanceSubject(scheme.Service(a.Service), scheme.Instance(a.Instance))
	}
	text, err := m.AppendShort(nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := scheme.ReplySubject(f.node, f.id, string(umf.AppendString(nil, mid)))
	if err != nil {
		t.Fatal(err)
	}
	mailbox := scheme.MailboxSubject(f.id)
	return &nats.Msg{Subject: subject, Reply: reply, Data: text, Header: nats.Header{
		scheme.HeaderSession: {f.sid}, scheme.HeaderMailbox: {mailbox}, scheme.HeaderIdentity: {"alice"},
	}}
}

// next is the next message in the session's mailbox.
func (f *fixture) next(t testing.TB) *umf.Message {
	t.Helper()
	nm, err := f.live.NextMsgWithContext(natstest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	m, err := umf.Parse(nm.Data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func echo(ctx context.Context, r *Request) error { return r.Reply(ctx, r.Message.Body) }

func TestServiceEcho(t *testing.T) {
	f := newFixture(t, ServiceConfig{Version: "1.2.3"}, func(s *Service) error {
		return errors.Join(
			s.Handle("who", func(ctx context.Context, r *Request) error {
				return r.Reply(ctx, []string{r.Session, r.Identity, r.Mailbox})
			}),
			s.Handle("", echo),
		)
	})
	f.send(t, "echo-svcs:/p", "", "m1", map[string]int{"n": 1})
	got := f.next(t)
	if got.Rmid != "m1" || string(got.Body) != `{"n":1}` || got.From != f.svc.Instance()+"@echo-svcs:/p" ||
		got.To != string(f.node)+"-"+f.sid+"@hydra-router:/" || got.Mid == "" || got.Via != "" {
		t.Errorf("%+v", got)
	}
	// The same instance, by the address that came back.
	f.send(t, got.From, "who", "m2", "x")
	mailbox := scheme.MailboxSubject(f.id)
	if got := f.next(t); got.Rmid != "m2" || string(got.Body) != fmt.Sprintf(`["%s","alice","%s"]`, f.sid, mailbox) {
		t.Errorf("%s", got.Body)
	}
}

// TestServiceReplyIsAcknowledged: reply returns when the message is stored.
func TestServiceReplyIsAcknowledged(t *testing.T) {
	type outcome struct {
		before, after uint64
		err           error
	}
	outcomes := make(chan outcome, 1)
	var f *fixture
	f = newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleAny(func(ctx context.Context, r *Request) error {
			var o outcome
			seqs, _ := f.store.LastSeqs(ctx, []scheme.SID{f.id})
			o.before = seqs[f.id]
			o.err = r.Reply(ctx, "x")
			seqs, _ = f.store.LastSeqs(ctx, []scheme.SID{f.id})
			o.after = seqs[f.id]
			outcomes <- o
			return o.err
		})
	})
	f.send(t, "echo-svcs:/", "", "m", "x")
	if o := <-outcomes; o.err != nil || o.before != 0 || o.after == 0 {
		t.Errorf("%+v", o)
	}
}

func TestServiceRoutes(t *testing.T) {
	show := func(name string) Handler {
		return func(ctx context.Context, r *Request) error {
			return r.Reply(ctx, name+" "+r.Method+" "+r.Path+" "+r.PathValue("id")+r.PathValue("file"))
		}
	}
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return errors.Join(
			s.HandleMethod("get", "/v1/users/{id}", show("user")),
			s.HandleMethod("GET", "/v1/users/me", show("never")), // the first route matches
			s.HandleMethod("POST", "/v1/users", show("new")),
			s.HandleMethod("GET", "/", show("root")),
		)
	})
	ask := func(to string) string {
		t.Helper()
		m := f.message(t, to, "", "m", "x")
		id := scheme.RequestSubject(f.node, 0, 1)
		m.Reply = id
		inbox, err := f.store.nc.SubscribeSync(id)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := inbox.Unsubscribe(); err != nil {
				t.Error(err)
			}
		}()
		if err := f.store.nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		nm, err := inbox.NextMsgWithContext(natstest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		got, err := umf.Parse(nm.Data)
		if err != nil {
			t.Fatal(err)
		}
		if got.From != to || got.Rmid != "m" {
			t.Errorf("from %s, rmid %s", got.From, got.Rmid)
		}
		return string(got.Body)
	}
	for to, want := range map[string]string{
		"echo-svcs:[GET]/v1/users/7":        `"user GET /v1/users/7 7"`,
		"echo-svcs:[GET]/v1/users/me?x=1":   `"user GET /v1/users/me?x=1 me"`,
		"echo-svcs:[POST]/v1/users":         `"new POST /v1/users "`,
		"echo-svcs:[GET]/":                  `"root GET / "`,
		"echo-svcs:[PUT]/v1/users":          `unsupported`,
		"echo-svcs:[GET]/v1/users":          `unsupported`,
		"echo-svcs:[GET]/v1/users/7/x":      `unsupported`,
		"echo-svcs:[GET]/v1/users/":         `unsupported`,
		"echo-svcs:[GET]":                   `unsupported`,
		"echo-svcs:[GET]/v1/users/7/?a=/b/": `unsupported`,
	} {
		if got := ask(to); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
	if pending, _, err := f.live.Pending(); pending != 0 || err != nil {
		t.Error("an answer to a [METHOD] request went to the mailbox", err)
	}
}

func TestServiceFailures(t *testing.T) {
	f := newFixture(t, ServiceConfig{HandlerTimeout: time.Minute}, func(s *Service) error {
		return errors.Join(
			s.Handle("fail", func(context.Context, *Request) error { return errors.New("db password is hunter2") }),
			s.Handle("say", func(context.Context, *Request) error { return &Failure{"not_found", "No such thing"} }),
			s.Handle("panic", func(context.Context, *Request) error { panic("hunter2") }),
			s.Handle("both", func(ctx context.Context, r *Request) error {
				return errors.Join(r.Reply(ctx, "done"), errors.New("hunter2"))
			}),
			s.Handle("late", func(ctx context.Context, r *Request) error { // its sender's timeout is 0.01 s
				<-ctx.Done()
				return ctx.Err()
			}),
		)
	})
	for typ, want := range map[string]string{
		"fail":  `{"error":"The service could not handle the message","code":"service_error"}`,
		"say":   `{"error":"No such thing","code":"not_found"}`,
		"panic": `{"error":"The service could not handle the message","code":"service_error"}`,
		"both":  `"done"`,
		"other": `{"error":"The service does not handle such messages","code":"unsupported"}`,
	} {
		f.send(t, "echo-svcs:/", typ, typ, "x")
		if got := f.next(t); got.Rmid != typ || string(got.Body) != want {
			t.Errorf("%s: rmid %s, %s", typ, got.Rmid, got.Body)
		}
	}
	m := f.message(t, "echo-svcs:/", "late", "late", "x")
	m.Data = []byte(strings.Replace(string(m.Data), `"typ"`, `"tmo":0.01,"typ"`, 1))
	if err := f.store.nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	if got := f.next(t); got.Rmid != "late" || !strings.Contains(string(got.Body), "service_error") {
		t.Errorf("%s", got.Body)
	}
	// What is not UMF is dropped and counted; the service goes on.
	for _, junk := range []string{"", "junk", "{}", `{"to":"a:/"}`, "\xff"} {
		if err := f.store.nc.Publish("umf.v1.svc.echo-svcs", []byte(junk)); err != nil {
			t.Fatal(err)
		}
	}
	f.send(t, "echo-svcs:/", "say", "last", "x")
	if got := f.next(t); got.Rmid != "last" {
		t.Error(got.Rmid)
	}
	natstest.WaitFor(t, func() bool { return f.svc.stats.Invalid.Load() == 5 })
}

// TestServiceOverload: a message that finds the queue full is refused at once,
// on both ways of answering, and those before it are handled.
func TestServiceOverload(t *testing.T) {
	release := make(chan struct{})
	running := make(chan struct{}, 10)
	f := newFixture(t, ServiceConfig{Concurrency: 1, Queue: 1}, func(s *Service) error {
		return s.HandleAny(func(ctx context.Context, r *Request) error {
			running <- struct{}{}
			<-release
			return r.Reply(ctx, "done")
		})
	})
	f.send(t, "echo-svcs:/", "", "1", "x")
	<-running
	f.send(t, "echo-svcs:/", "", "2", "x")
	natstest.WaitFor(t, func() bool { return f.svc.lanes.waiting() == 1 })
	f.send(t, "echo-svcs:/", "", "3", "x")
	if got := f.next(t); got.Rmid != "3" || !strings.Contains(string(got.Body), `"overload"`) {
		t.Errorf("%s: %s", got.Rmid, got.Body)
	}
	nm, err := f.store.nc.Request("umf.v1.svc.echo-svcs", []byte(`{"to":"echo-svcs:/","frm":"x:/","mid":"4","bdy":{}}`), natstest.Patience)
	if err != nil || !strings.Contains(string(nm.Data), `"overload"`) {
		t.Error(nm, err)
	}
	close(release)
	for _, mid := range []string{"1", "2"} {
		if got := f.next(t); got.Rmid != mid || string(got.Body) != `"done"` {
			t.Errorf("%s: %s", got.Rmid, got.Body)
		}
	}
	if n := f.svc.stats.Rejected.Load(); n != 2 {
		t.Errorf("%d rejected", n)
	}
}

// TestServiceRefusalsAreApart: as many refusals wait for the store as may. That
// is no reason to refuse a push.
func TestServiceRefusalsAreApart(t *testing.T) {
	s := natstest.Start(t)
	silent := connect(t, s.URL()) // a store that takes its time
	svc, err := NewService(connect(t, s.URL()), ServiceConfig{Name: "a", Window: 2, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	sid := string(scheme.NewSID())
	subject := scheme.MailboxSubject(scheme.SID(sid))
	stored := make(chan *nats.Msg, 10)
	if _, err := silent.ChanSubscribe(subject, stored); err != nil {
		t.Fatal(err)
	}
	if err := silent.Flush(); err != nil {
		t.Fatal(err)
	}
	data := []byte(`{"to":"a:/","frm":"` + sid + `@client:/","mid":"1","bdy":{}}`)
	r, err := svc.request(incoming{data: data, header: nats.Header{scheme.HeaderMailbox: {subject}}})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for err == nil {
		if err = r.refuse(failOverload); err == nil {
			refused++
		}
	}
	if !errors.Is(err, ErrOverload) || refused != 2 {
		t.Fatalf("after %d refusals: %v", refused, err)
	}
	m, err := svc.NewMessage(sid+"@client:/", 1)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	if err := svc.PushAsync(natstest.Context(t), sid, m, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	for range refused + 1 {
		if err := (<-stored).Respond([]byte(`{"stream":"x","seq":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := svc.Stop(natstest.Context(t)); err != nil {
		t.Error(err)
	}
}

// TestServiceReplyWays: who did not come through a node is answered on NATS;
// who cannot be answered is an error; a mailbox header that is no mailbox is
// not published to.
func TestServiceReplyWays(t *testing.T) {
	results := make(chan error, 1)
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleAny(func(ctx context.Context, r *Request) error {
			results <- r.Reply(ctx, "x")
			return nil
		})
	})
	nm, err := f.store.nc.Request("umf.v1.svc.echo-svcs", []byte(`{"to":"echo-svcs:/","frm":"x:/","mid":"1","bdy":{}}`), natstest.Patience)
	if err != nil || !strings.Contains(string(nm.Data), `"rmid":"1"`) {
		t.Error(err)
	}
	if err := <-results; err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		mailbox, via string
		err          error
	}{
		"nothing":       {"", "", ErrNoReply},
		"a wrong one":   {"umf.v1.svc.echo-svcs", "", ErrNoReply},
		"via":           {"", "x-" + f.sid + "@hydra-router:/", nil},
		"via, no sid":   {"", "x-y@hydra-router:/", ErrNoReply},
		"client as via": {"", f.sid + "@client:/", nil},
	} {
		m := &nats.Msg{Subject: "umf.v1.svc.echo-svcs", Header: nats.Header{scheme.HeaderMailbox: {c.mailbox}}}
		m.Data, _ = json.Marshal(map[string]any{"to": "echo-svcs:/", "frm": "x:/", "mid": "1", "via": c.via, "bdy": 1})
		if err := f.store.nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		if err := <-results; !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServiceBare: a service in any language needs no kit. What it answers with
// Respond is stored like every other message.
func TestServiceBare(t *testing.T) {
	f := newFixture(t, ServiceConfig{Name: "unused"}, func(s *Service) error { return s.HandleAny(echo) })
	nc := connect(t, f.store.nc.ConnectedUrl())
	if _, err := nc.QueueSubscribe("umf.v1.svc.bare", "bare", func(m *nats.Msg) {
		if err := m.Respond([]byte(`{"to":"x:/","frm":"bare:/","rmid":"m1","bdy":"hi"}`)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	f.send(t, "bare:/", "", "m1", "x")
	if got := f.next(t); got.Rmid != "m1" || string(got.Body) != `"hi"` {
		t.Errorf("%+v", got)
	}
	if b, err := f.store.Read(natstest.Context(t), f.id, 1, 0, 10, 0); err != nil || len(b.Msgs) != 1 {
		t.Error(b, err)
	}
}

// TestServiceNoResponders: where nobody listens, the node hears of it on the
// reply subject, which says whose message it was.
func TestServiceNoResponders(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error { return s.HandleAny(echo) })
	wild := scheme.ReplyWildcard(f.node)
	told := make(chan *nats.Msg, 1)
	if _, err := f.store.nc.ChanSubscribe(wild, told); err != nil {
		t.Fatal(err)
	}
	f.send(t, "nosuch:/", "", "m-9", "x")
	m := <-told
	if jet.StatusOf(m) != "503" {
		t.Fatal(m)
	}
	node, sid, mid, err := scheme.ParseReplySubject(m.Subject)
	if err != nil || node != f.node || sid != f.id || mid != `"m-9"` {
		t.Error(node, sid, mid, err)
	}
}

func TestServicePush(t *testing.T) {
	f := newFixture(t, ServiceConfig{}, func(s *Service) error { return s.HandleAny(echo) })
	ctx := natstest.Context(t)
	msg := func(body any) *umf.Message {
		m, err := f.svc.NewMessage(f.sid+"@client:/", body)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if err := f.svc.Push(ctx, f.sid, msg("a")); err != nil {
		t.Fatal(err)
	}
	for _, via := range []string{string(f.node) + "-" + f.sid + "@hydra-router:/", f.sid + "@client:/"} {
		if err := f.svc.PushVia(ctx, via, msg("b")); err != nil {
			t.Fatal(err)
		}
	}
	m := msg("c")
	m.TTL = json.RawMessage("90")
	if err := f.svc.Push(ctx, f.sid, m); err != nil {
		t.Fatal(err)
	}
	if err := f.svc.Push(ctx, f.sid, m); err != nil { // the same message again: stored once
		t.Fatal(err)
	}
	if err := f.svc.PushLive(f.sid, msg("d")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "b", "c", "d"} {
		nm, err := f.live.NextMsgWithContext(ctx)
		if err != nil || !strings.Contains(string(nm.Data), `"bdy":"`+want+`"`) {
			t.Fatalf("%s, %v; want %s", nm.Data, err, want)
		}
		if c, stored := store.ParseCopy(nm); stored != (want != "d") || c.TTL != (want == "c") {
			t.Errorf("%s: %+v %v", want, c, stored)
		}
	}
	for _, via := range []string{"", "x", "echo-svcs:/", "x-y@hydra-router:/", "*@client:/", "x@client:/"} {
		if err := f.svc.PushVia(ctx, via, msg("x")); !errors.Is(err, ErrNotASession) {
			t.Errorf("%q: %v", via, err)
		}
	}
	for _, err := range []error{
		f.svc.Push(ctx, ">", msg("x")), f.svc.PushLive("*", msg("x")),
		f.svc.PushAsync(ctx, "", msg("x"), func(error) { t.Error("done was called") }),
	} {
		if !errors.Is(err, scheme.ErrBadSID) {
			t.Error(err)
		}
	}
	bad := &umf.Message{To: "x:/"}
	for _, err := range []error{
		f.svc.Push(ctx, f.sid, bad), f.svc.PushLive(f.sid, bad),
		f.svc.PushAsync(ctx, f.sid, bad, func(error) { t.Error("done was called") }),
	} {
		var fe *umf.FieldError
		if !errors.As(err, &fe) {
			t.Error(err)
		}
	}
}

// TestServicePushAll: more than the window, for several sessions; each in
// order, each once, errors in their places.
func TestServicePushAll(t *testing.T) {
	f := newFixture(t, ServiceConfig{Window: 16}, func(s *Service) error { return s.HandleAny(echo) })
	ctx := natstest.Context(t)
	const n = 300
	pushes := make([]Push, n)
	for i := range pushes {
		m, err := f.svc.NewMessage(f.sid+"@client:/", i+1) // 0 is no body
		if err != nil {
			t.Fatal(err)
		}
		pushes[i] = Push{f.sid, m}
	}
	pushes[7].SID = "nonsense"
	for i, err := range f.svc.PushAll(ctx, pushes) {
		if (i == 7) != errors.Is(err, scheme.ErrBadSID) || i != 7 && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	for i := range pushes {
		if i == 7 {
			continue
		}
		if got := f.next(t); string(got.Body) != fmt.Sprint(i+1) {
			t.Fatalf("%s, want %d", got.Body, i+1)
		}
	}
}

// TestServicePushRetries: while the stream is away a push is repeated, and is
// stored once when it is back.
func TestServicePushRetries(t *testing.T) {
	f := newFixture(t, ServiceConfig{ReplyTimeout: 20 * time.Second}, func(s *Service) error { return s.HandleAny(echo) })
	ctx := natstest.Context(t)
	st, err := f.store.js.Stream(ctx, "UMF_OUT_0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	if err := f.store.js.DeleteStream(ctx, cfg.Name); err != nil {
		t.Fatal(err)
	}
	m, err := f.svc.NewMessage(f.sid+"@client:/", "x")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	if err := f.svc.PushAsync(ctx, f.sid, m, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	go func() { done <- f.svc.Push(ctx, f.sid, m) }()
	natstest.WaitFor(t, func() bool { return f.svc.stats.Retried.Load() >= 2 })
	if _, err := f.store.js.CreateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	st, err = f.store.js.Stream(ctx, cfg.Name)
	if err != nil || st.CachedInfo().State.LastSeq != 1 {
		t.Errorf("%d messages, %v", st.CachedInfo().State.LastSeq, err)
	}
}

// pusher is a service that handles nothing and is not started.
func pusher(t *testing.T, nc *nats.Conn) *Service {
	t.Helper()
	svc, err := NewService(nc, ServiceConfig{Name: "echo", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.Stop(natstest.Context(t)); err != nil {
			t.Error(err)
		}
	})
	return svc
}

// TestPushGivenUpWhileItIsSent: the connection may be lost while a push is being
// written to it. What repeats it leaves alone what is on its way.
func TestPushGivenUpWhileItIsSent(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	sub, err := nc.SubscribeSync("silent")
	if err != nil {
		t.Fatal(err)
	}
	svc := pusher(t, nc)
	var lost sync.WaitGroup
	defer lost.Wait()
	lost.Go(func() {
		for svc.acks.Pending() == 0 {
			runtime.Gosched()
		}
		svc.acks.Fail(ErrUnconfirmed)
	})
	done := make(chan error, 1)
	p := &push{svc: svc, sid: scheme.NewSID(), msg: &nats.Msg{Subject: "silent"}, span: trace.SpanFromContext(t.Context()), done: func(err error) { done <- err }, end: time.Now().Add(time.Minute)}
	if err := svc.pushAsync(natstest.Context(t), p); err != nil {
		t.Fatal(err)
	}
	var m *nats.Msg
	for range 2 {
		if m, err = sub.NextMsgWithContext(natstest.Context(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Respond([]byte(`{"stream":"S","seq":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestPushUnanswered: a push whose acknowledgement is lost is repeated.
func TestPushUnanswered(t *testing.T) {
	t.Parallel() // it waits for an answer that does not come
	nc := connect(t, natstest.Start(t).URL())
	svc := pusher(t, nc)
	var asked sync.Map
	if _, err := nc.Subscribe(scheme.PrefixOut+">", func(m *nats.Msg) {
		if _, again := asked.LoadOrStore(m.Subject, true); again {
			_ = m.Respond([]byte(`{"stream":"S","seq":1}`)) // then the push fails
		}
	}); err != nil {
		t.Fatal(err)
	}
	m, err := svc.NewMessage("x:/", "x")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	ctx := natstest.Context(t)
	if err := svc.PushAsync(ctx, string(scheme.NewSID()), m, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	go func() { done <- svc.Push(ctx, string(scheme.NewSID()), m) }()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestPushInDoubt: one attempt may have stored the message, and nobody can be
// asked again. Who sent it must not take it for not stored.
func TestPushInDoubt(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL()) // without the stream
	svc := pusher(t, nc)
	const patience = 200 * time.Millisecond
	for wait := patience; svc.stats.Retried.Load() == 0; wait *= 2 { // all of it may be over before there is an answer
		if wait > natstest.Patience {
			t.Fatal("it was not repeated")
		}
		done := make(chan error, 1)
		svc.slots <- struct{}{}
		p := &push{svc: svc, sid: scheme.NewSID(), msg: &nats.Msg{Subject: "nobody"}, span: trace.SpanFromContext(t.Context()), done: func(err error) {
			if len(svc.slots) != 1 {
				t.Error("Stop does not wait for done")
			}
			done <- err
		}, end: time.Now().Add(wait)}
		p.acked(0, ErrUnconfirmed)
		if err := <-done; !errors.Is(err, ErrUnconfirmed) || errors.Is(err, ErrUnavailable) {
			t.Errorf("PushAsync: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answers := []error{ErrUnconfirmed, ErrUnavailable}
	err := jet.Retry(ctx, func(context.Context) error {
		err := answers[0]
		answers = answers[len(answers)-1:]
		return err
	})
	if !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("Push: %v", err)
	}
}

// TestServiceStop: what has arrived is handled and acknowledged, what comes
// later goes elsewhere.
func TestServiceStop(t *testing.T) {
	var started, handled atomic.Int64
	release := make(chan struct{})
	f := newFixture(t, ServiceConfig{Concurrency: 4}, func(s *Service) error {
		return s.HandleAny(func(ctx context.Context, r *Request) error {
			started.Add(1)
			<-release
			handled.Add(1)
			return r.Reply(ctx, "x")
		})
	})
	const n = 50
	for i := range n {
		f.send(t, "echo-svcs:/", "", fmt.Sprint(i), "x")
	}
	if err := f.store.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// They are of one session, so one is handled at a time.
	natstest.WaitFor(t, func() bool { return started.Load() == 1 && f.svc.lanes.waiting() == n-1 })
	var stops sync.WaitGroup
	for range 3 {
		stops.Go(func() {
			if err := f.svc.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	// Once it has left the queue group, nobody is there.
	natstest.WaitFor(t, func() bool {
		_, err := f.store.nc.Request("umf.v1.svc.echo-svcs", nil, 20*time.Millisecond)
		return errors.Is(err, nats.ErrNoResponders)
	})
	close(release)
	stops.Wait()
	if handled.Load() != n {
		t.Errorf("%d handled", handled.Load())
	}
	for range n {
		f.next(t)
	}
	m, err := f.svc.NewMessage(f.sid+"@client:/", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.svc.PushAsync(context.Background(), f.sid, m, func(error) {}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := f.svc.Start(); !errors.Is(err, ErrServiceConfig) {
		t.Error(err)
	}
}

// TestServiceStopTimeout: a handler that does not end finds its context ended,
// and Stop says that work was left.
func TestServiceStopTimeout(t *testing.T) {
	ended := make(chan struct{})
	started := make(chan struct{})
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleAny(func(ctx context.Context, r *Request) error {
			close(started)
			<-ctx.Done()
			close(ended)
			return nil
		})
	})
	f.send(t, "echo-svcs:/", "", "1", "x")
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := f.svc.Stop(ctx); !errors.Is(err, ErrDrain) {
		t.Error(err)
	}
	<-ended
	<-f.svc.lanes.idle
}

// TestServiceStopWhileItStarts: a service that is stopped while it starts takes
// nothing afterwards.
func TestServiceStopWhileItStarts(t *testing.T) {
	s := newStore(t, store.Config{Streams: 1})
	nc := s.nc
	if err := s.Queues().Keep(natstest.Context(t), []scheme.Service{"echo"}); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		svc, err := NewService(nc, ServiceConfig{Name: "echo", Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(svc.HandleAny(echo), svc.HandleWork(echo, WorkOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		var starts sync.WaitGroup
		starts.Go(func() { _ = svc.Start() }) // it may come too late
		for range i {
			runtime.Gosched()
		}
		if err := svc.Stop(natstest.Context(t)); err != nil {
			t.Error(err)
		}
		starts.Wait()
		_, err = nc.RequestWithContext(natstest.Context(t), "umf.v1.svc.echo", []byte(`{"to":"echo:/","frm":"x:/","bdy":1}`))
		if !errors.Is(err, nats.ErrNoResponders) {
			t.Fatalf("round %d: somebody took a message: %v", i, err)
		}
	}
}

// TestServiceStopHasNoTime: what Start waits for does not hold up a Stop that
// has no time.
func TestServiceStopHasNoTime(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	svc, err := NewService(nc, ServiceConfig{Name: "echo", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.HandleWork(echo, WorkOptions{StartTimeout: time.Hour}); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- svc.Start() }() // nobody has made the stream
	natstest.WaitFor(t, func() bool {
		_, err := nc.Request("umf.v1.svc.echo", []byte(`{"to":"echo:/","frm":"x:/","bdy":1}`), time.Second)
		return err == nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := svc.Stop(ctx); !errors.Is(err, ErrDrain) {
		t.Error(err)
	}
	if err := <-started; err == nil {
		t.Error("started without its stream")
	}
}

func TestServiceRun(t *testing.T) {
	ns := natstest.Start(t)
	svc, err := NewService(connect(t, ns.URL()), ServiceConfig{Name: "echo", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- svc.Run(ctx) }()
	nc := connect(t, ns.URL())
	natstest.WaitFor(t, func() bool {
		_, err := nc.Request("umf.v1.svc.echo", []byte(`{"to":"echo:/","frm":"x:/","bdy":1}`), time.Second)
		return err == nil
	})
	cancel()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestServiceConfig(t *testing.T) {
	nc := connect(t, natstest.Start(t).URL())
	for _, cfg := range []ServiceConfig{
		{}, {Name: "a.b"}, {Name: ">"}, {Name: "a", Instance: "x.y"}, {Name: "a", Queue: -1}, {Name: "a", Concurrency: -1}, {Name: "a", Window: -1},
	} {
		if _, err := NewService(nc, cfg); !errors.Is(err, ErrServiceConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	svc, err := NewService(nc, ServiceConfig{Name: "a", Version: "not a version", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	event := func(context.Context, scheme.Event) {}
	for i, err := range []error{
		svc.Handle("t", nil), svc.HandleAny(nil), svc.HandleMethod("GET", "/", nil), svc.HandleWork(nil, WorkOptions{}), svc.HandleEvent(scheme.SessionOpened, nil),
		svc.HandleMethod("", "/", echo), svc.HandleMethod("G T", "/", echo), svc.HandleMethod("GET", "x", echo),
		svc.HandleMethod("GET", "", echo), svc.HandleMethod("GET", "/a?b", echo), svc.HandleMethod("GET", "/{}", echo), svc.HandleMethod("GET", "/a{b}", echo),
		svc.HandleMethod("GET", "/"+strings.Repeat("x", scheme.MaxRoute), echo),
		svc.HandleEvent("eaten", event), svc.HandleWork(echo, WorkOptions{Concurrency: -1}),
		errors.Join(svc.Handle("t", echo), svc.Handle("t", echo)),
		errors.Join(svc.HandleAny(echo), svc.HandleAny(echo)),
		errors.Join(svc.HandleEvent(scheme.SessionOpened, event), svc.HandleEvent(scheme.SessionOpened, event)),
		svc.Start(), // the version
		svc.Handle("later", echo),
	} {
		if !errors.Is(err, ErrServiceConfig) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := svc.Stop(context.Background()); err != nil { // as Start has stopped it
		t.Error(err)
	}
}

func TestServiceEvents(t *testing.T) {
	got := make(chan scheme.Event, 10)
	f := newFixture(t, ServiceConfig{}, func(s *Service) error {
		return s.HandleEvent(scheme.SessionParked, func(_ context.Context, e scheme.Event) { got <- e })
	})
	want := scheme.Event{What: scheme.SessionParked, Session: f.id, Node: f.node, Identity: "alice", Why: "closed", Time: time.Unix(1700000000, 0).UTC()}
	opened := want
	opened.What = scheme.SessionOpened
	for _, e := range []scheme.Event{opened, want} {
		if err := store.PublishEvent(f.store.nc, e); err != nil {
			t.Fatal(err)
		}
	}
	if e := <-got; e != want {
		t.Errorf("%+v", e)
	}
	// What is no event reaches no handler: the next one does.
	for _, junk := range []string{"", "{}", `{"what":"opened","session":"` + f.sid + `"}`} {
		if err := f.store.nc.Publish(scheme.EventSubject(scheme.SessionParked, f.id), []byte(junk)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.PublishEvent(f.store.nc, want); err != nil {
		t.Fatal(err)
	}
	if e := <-got; e != want {
		t.Errorf("%+v", e)
	}
	if n := f.svc.stats.Rejected.Load(); n != 3 {
		t.Errorf("%d rejected", n)
	}
}
