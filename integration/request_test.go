package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// HYDRA "to svc:[GET]/p": reply to = frm and frm = to of the request, rmid.
func TestRequest(t *testing.T) {
	t.Parallel()
	w := shared(t)
	c, s := dial(t, w.node(t, "a")), w.serve(t, unique(t))
	for _, test := range []struct{ verb, body, answer string }{
		{"GET", `{"q":1}`, `{"result": 9007199254740993}`},
		{"post", `"x"`, `"text"`},
		{"PURGE", `{}`, `{}`},
	} {
		mid := c.Mid()
		to := s.name + ":[" + test.verb + "]/a/b?c=d"
		c.send(fmt.Sprintf(`{"to":"%s","frm":"%s","mid":"%s","bdy":%s}`, to, c.Address(), mid, test.body))
		request, m := s.next()
		if m.Body() != test.body {
			t.Errorf("the service gets body %s, want %s", m.Body(), test.body)
		}
		s.respond(request, fmt.Sprintf(`{"to":"%s","frm":"i@%s:/","mid":"x","rmid":"%s","bdy":%s}`, m.Via(), s.name, mid, test.answer))
		answer := c.answer(mid)
		want(t, answer, "to", c.Address(), "frm", to)
		if answer.Body() != test.answer {
			t.Errorf("the client gets body %s, want %s", answer.Body(), test.answer)
		}
	}
}

// The same with a service of the SDK.
func TestRequestToMethodHandler(t *testing.T) {
	t.Parallel()
	w := shared(t)
	s := newBusService(t, w, unique(t))
	if err := s.HandleMethod("GET", "/greeting", func(ctx context.Context, r *bus.Request) error {
		return r.Reply(ctx, map[string]string{"hello": r.Session})
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, w.node(t, "a"))
	m := c.call(object{"to": s.Name() + ":[get]/greeting", "bdy": object{}})
	want(t, m, "to", c.Address(), "frm", s.Name()+":[get]/greeting")
	if m.At("bdy", "hello") != c.ID {
		t.Errorf("body %s", m.Body())
	}
}

// HYDRA: service not running.
func TestRequestToNobody(t *testing.T) {
	t.Parallel()
	c := dial(t, shared(t).node(t, "a"))
	m := c.call(object{"to": "nosuch:[GET]/p", "bdy": 1})
	want(t, m, "to", c.Address(), "frm", "nosuch:[GET]/p")
	if m.Body() != `{"reason":"Unavailable nosuch instances"}` {
		t.Errorf("body %s", m.Body())
	}
	c.quiet()
}

// R35: no request hangs, and a late answer is nobody's.
func TestRequestTimesOut(t *testing.T) {
	t.Parallel()
	w := shared(t)
	c, s := dial(t, w.node(t, "tuned")), w.serve(t, unique(t))
	mid := c.send(object{"to": s.name + ":[GET]/p", "bdy": 1})
	request, m := s.next()
	answer := c.answer(mid) // after EDGE_REQUEST_TIMEOUT
	want(t, answer, "to", c.Address(), "frm", s.name+":[GET]/p")
	if body := answer.Body(); body == "" || body == "{}" {
		t.Errorf("the timeout is answered with body %s", body)
	}
	s.respond(request, object{"to": m.Via(), "frm": "i@" + s.name + ":/", "mid": "late", "rmid": mid, "bdy": "late"})
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c.quiet()
}

// Answers of services that get the shape wrong end the request all the same.
func TestRequestAnsweredWithJunk(t *testing.T) {
	t.Parallel()
	w := shared(t)
	c, s := dial(t, w.node(t, "a")), w.serve(t, unique(t))
	for _, junk := range []string{"", "\x00\xff", "{", strings.Repeat("[", 100_000), `{"to":1}`, "null"} {
		mid := c.send(object{"to": s.name + ":[GET]/p", "bdy": 1})
		request, _ := s.next()
		s.respond(request, junk)
		want(t, c.answer(mid), "to", c.Address(), "frm", s.name+":[GET]/p")
	}
	c.quiet()
}

// R36 for requests: the answer, or that there was none in time, reaches the
// session that asked, where it has moved to or when it comes back.
func TestRequestAnsweredAfterTheClientMoved(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, first, second *harness.Node) {
		s := w.serve(t, unique(t))
		ask := func(c *client) (*nats.Msg, string) {
			mid := c.send(object{"to": s.name + ":[GET]/late", "bdy": object{}})
			request, _ := s.next()
			return request, mid
		}
		asked := dial(t, first)
		request, mid := ask(asked)
		moved := asked.resume(second)
		asked.closed()
		s.respond(request, `{"result":"late"}`)
		if m := moved.answer(mid); m.Body() != `"late"` || m.To() != asked.Address() {
			t.Errorf("where it moved to: %s", m.Raw)
		}
		request, mid = ask(moved)
		moved.Close()
		w.parked(t, moved.ID)
		s.respond(request, `{"result":"later"}`)
		back := moved.resume(first)
		if m := back.answer(mid); m.Body() != `"later"` {
			t.Errorf("when it came back: %s", m.Raw)
		}
		back.quiet()
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		w := shared(t)
		node := w.node(t, "tuned") // waits 300 ms
		s := w.serve(t, unique(t))
		ctx := patient(t)
		for early := true; early; { // it has moved in that time, but on a slow machine
			c, next := dial(t, node), dial(t, w.node(t, "b"))
			mid := c.send(object{"to": s.name + ":[GET]/never", "bdy": object{}})
			s.next()
			if answer, err := next.Resume(ctx, "reconnect", object{"id": c.ID}); err != nil || next.ID != c.ID {
				t.Fatalf("not resumed: %s, %v", answer.Raw, err)
			}
			c.closed()
			early = slices.ContainsFunc(c.Inbox(), func(m message) bool { return m.Rmid() == mid })
			if early && ctx.Err() == nil {
				continue
			}
			if m := next.answer(mid); m.At("bdy", "code") != "timeout" {
				t.Errorf("answer %s", m.Raw)
			}
		}
	})
}
