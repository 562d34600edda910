package accounts

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// start runs a server with what is written.
func start(t *testing.T, c Config) *server.Server {
	t.Helper()
	o, err := load(t, c, textOf(t, c))
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(natstest.Patience) {
		t.Fatal("the server does not start")
	}
	return s
}

// as connects with a user. What is refused goes to the channel, as the server says it.
func as(t *testing.T, s *server.Server, user string) (*nats.Conn, chan string) {
	t.Helper()
	return login(t, s.ClientURL(), user, user)
}

func login(t *testing.T, url, user, password string) (*nats.Conn, chan string) {
	t.Helper()
	refused := make(chan string, 1<<16)
	nc, err := nats.Connect(url, nats.UserInfo(user, password), nats.CustomInboxPrefix(scheme.InboxPrefix(user)),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err.Error() }))
	if err != nil {
		t.Fatal(err)
	}
	natstest.CloseAtEnd(t, nc)
	return nc, refused
}

// TestServerRefuses: with each user's credentials, whatever subject is known is
// published and subscribed to. The server takes what the list has, and nothing else.
func TestServerRefuses(t *testing.T) {
	for form, c := range forms {
		s := start(t, c)
		for user, want := range listed(c) {
			t.Run(form+" "+user, func(t *testing.T) {
				nc, refused := as(t, s, user)
				tryAll(t, nc, refused, want)
			})
		}
	}
}

func tryAll(t *testing.T, nc *nats.Conn, refused chan string, want rights) {
	should := make(map[string]bool)
	subjects := universe()
	mayPublish, maySubscribe := covers(want.publish, subjects), covers(want.subscribe, subjects)
	for i, subject := range subjects {
		if !strings.ContainsAny(subject, "*>") {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			if !mayPublish[i] {
				should[fmt.Sprintf("Publish to %q", subject)] = true
			}
		}
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		if !maySubscribe[i] {
			should[fmt.Sprintf("Subscription to %q", subject)] = true
		}
	}
	if err := nc.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	for len(should) > 0 {
		select {
		case text := <-refused:
			_, what, _ := strings.Cut(text, "Violation for ")
			if !should[what] {
				t.Fatalf("refused: %s", text)
			}
			delete(should, what)
		case <-time.After(natstest.Patience):
			for what := range should {
				t.Fatalf("not refused: %s, and %d others", what, len(should)-1)
			}
		}
	}
	if len(refused) > 0 {
		t.Errorf("refused: %s", <-refused)
	}
}

// TestNoMoreThanIsShared: a service's account cannot be given what the edge's, or
// another service's, does not share with it: the server does not take such a configuration.
func TestNoMoreThanIsShared(t *testing.T) {
	c := forms["isolated"]
	text := textOf(t, c)
	const mine = `      { stream: { account: EDGE, subject: "umf.v1.svc.chat" } }`
	if strings.Count(text, mine) != 1 {
		t.Fatal(text)
	}
	for _, more := range []string{
		`{ stream: { account: EDGE, subject: "umf.v1.svc.orders" } }`, `{ stream: { account: EDGE, subject: ">" } }`, `{ stream: { account: EDGE, subject: "umf.v1.svc.*" } }`,
		`{ stream: { account: EDGE, subject: "umf.v1.out.>" } }`, `{ stream: { account: EDGE, subject: "umf.v1.live.>" } }`, `{ stream: { account: EDGE, subject: "_INBOX_edge.>" } }`,
		`{ service: { account: EDGE, subject: "umf.v1.node.*" } }`, `{ service: { account: EDGE, subject: "$KV.UMF_SESSIONS.*" } }`,
		`{ service: { account: EDGE, subject: "umf.v1.svc.orders" } }`, `{ service: { account: EDGE, subject: "umf.v1.live.*.*.s" } }`,
		`{ service: { account: EDGE, subject: "$JS.API.>" }, to: "JS.ALL.>" }`, `{ service: { account: EDGE, subject: "$JS.API.CONSUMER.MSG.NEXT.UMF_WORK.orders" }, to: "JS.O" }`,
		`{ stream: { account: SVC_orders, subject: ">" } }`, `{ service: { account: SVC_orders, subject: "$SRV.>" } }`, `{ service: { account: SVC_orders, subject: "umf.v1.svc.orders" } }`,
	} {
		if _, err := load(t, c, strings.Replace(text, mine, mine+"\n      "+more, 1)); err != nil {
			continue // the text itself is refused
		}
		o, _ := load(t, c, strings.Replace(text, mine, mine+"\n      "+more, 1))
		o.NoSigs, o.NoLog = true, true
		if s, err := server.NewServer(o); err == nil {
			s.Shutdown()
			t.Errorf("taken: %s", more)
		}
	}
	if o, err := load(t, c, text); err != nil {
		t.Fatal(err)
	} else if s, err := server.NewServer(o); err != nil {
		t.Fatal(err)
	} else {
		s.Shutdown()
	}
}

// TestSpy: a subscription on everything, in a service's account, sees nothing that is
// not the service's.
func TestSpy(t *testing.T) {
	c := forms["isolated"]
	s := start(t, c)
	spy, _ := as(t, s, "chat")
	own, err := spy.SubscribeSync("umf.v1.svc.chat")
	if err != nil {
		t.Fatal(err)
	}
	all, err := spy.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := spy.Flush(); err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatal(err)
	}
	edge, _ := as(t, s, scheme.UserEdge)
	for _, subject := range []string{"umf.v1.svc.orders", "umf.v1.inst.orders.x", "umf.v1.out.a.b", "umf.v1.svc.chat"} {
		if err := edge.Publish(subject, []byte(subject)); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := own.NextMsg(natstest.Patience); err != nil || m.Subject != "umf.v1.svc.chat" {
		t.Fatal(m, err)
	}
	if n, _, _ := all.Pending(); n != 0 {
		t.Errorf("saw %d messages", n)
	}
}
