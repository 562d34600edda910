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
	"hydrant/integration/harness/world"
)

// Hydra, a request to svc:[GET]/p: reply to = frm and frm = to of the request, rmid.
func TestRequest(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	for _, test := range []struct{ verb, body, answer string }{
		{"GET", `{"q":1}`, `{"result": 9007199254740993}`},
		{"post", `"x"`, `"text"`},
		{"PURGE", `{}`, `{}`},
	} {
		mid := c.Mid()
		to := s.Name + ":[" + test.verb + "]/a/b?c=d"
		c.Send(fmt.Sprintf(`{"to":"%s","frm":"%s","mid":"%s","bdy":%s}`, to, c.Address(), mid, test.body))
		request, m := s.Next()
		if m.Body() != test.body {
			t.Errorf("the service gets body %s, want %s", m.Body(), test.body)
		}
		s.Respond(request, fmt.Sprintf(`{"to":"%s","frm":"i@%s:/","mid":"x","rmid":"%s","bdy":%s}`, m.Via(), s.Name, mid, test.answer))
		answer := c.Answer(mid)
		world.Want(t, answer, "to", c.Address(), "frm", to)
		if answer.Body() != test.answer {
			t.Errorf("the client gets body %s, want %s", answer.Body(), test.answer)
		}
	}
}

// The same with a service of the SDK.
func TestRequestToMethodHandler(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	s := newBusService(t, w, world.Unique(t))
	if err := s.HandleMethod("GET", "/greeting", func(ctx context.Context, r *bus.Request) error {
		return r.Reply(ctx, map[string]string{"hello": r.Session})
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := world.Dial(t, w.Node(t, "a"))
	m := c.Call(object{"to": s.Name() + ":[get]/greeting", "bdy": object{}})
	world.Want(t, m, "to", c.Address(), "frm", s.Name()+":[get]/greeting")
	if m.At("bdy", "hello") != c.ID {
		t.Errorf("body %s", m.Body())
	}
}

// Hydra: service not running.
func TestRequestToNobody(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	m := c.Call(object{"to": "nosuch:[GET]/p", "bdy": 1})
	world.Want(t, m, "to", c.Address(), "frm", "nosuch:[GET]/p")
	if m.Body() != `{"reason":"Unavailable nosuch instances","code":"no_instances"}` {
		t.Errorf("body %s", m.Body())
	}
	c.Quiet()
}

// R35: no request hangs, and a late answer is nobody's.
func TestRequestTimesOut(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "tuned")), w.Serve(t, world.Unique(t))
	mid := c.Send(object{"to": s.Name + ":[GET]/p", "bdy": 1})
	request, m := s.Next()
	answer := c.Answer(mid) // after EDGE_REQUEST_TIMEOUT
	world.Want(t, answer, "to", c.Address(), "frm", s.Name+":[GET]/p")
	if body := answer.Body(); body == "" || body == "{}" {
		t.Errorf("the timeout is answered with body %s", body)
	}
	s.Respond(request, object{"to": m.Via(), "frm": "i@" + s.Name + ":/", "mid": "late", "rmid": mid, "bdy": "late"})
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	c.Quiet()
}

// Answers of services that get the shape wrong end the request all the same.
func TestRequestAnsweredWithJunk(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	for _, junk := range []string{"", "\x00\xff", "{", strings.Repeat("[", 100_000), `{"to":1}`, "null"} {
		mid := c.Send(object{"to": s.Name + ":[GET]/p", "bdy": 1})
		request, _ := s.Next()
		s.Respond(request, junk)
		world.Want(t, c.Answer(mid), "to", c.Address(), "frm", s.Name+":[GET]/p")
	}
	c.Quiet()
}

// R36 for requests: the answer, or that there was none in time, reaches the
// session that asked, where it has moved to or when it comes back.
func TestRequestAnsweredAfterTheClientMoved(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world.World, first, second *harness.Node) {
		s := w.Serve(t, world.Unique(t))
		ask := func(c *world.Client) (*nats.Msg, string) {
			mid := c.Send(object{"to": s.Name + ":[GET]/late", "bdy": object{}})
			request, _ := s.Next()
			return request, mid
		}
		asked := world.Dial(t, first)
		request, mid := ask(asked)
		moved := asked.Resume(second)
		asked.Closed()
		s.Respond(request, `{"result":"late"}`)
		if m := moved.Answer(mid); m.Body() != `"late"` || m.To() != asked.Address() {
			t.Errorf("where it moved to: %s", m.Raw)
		}
		request, mid = ask(moved)
		moved.Close()
		w.WaitParked(t, moved.ID)
		s.Respond(request, `{"result":"later"}`)
		back := moved.Resume(first)
		if m := back.Answer(mid); m.Body() != `"later"` {
			t.Errorf("when it came back: %s", m.Raw)
		}
		back.Quiet()
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		w := world.Shared(t)
		node := w.Node(t, "tuned") // waits 300 ms
		s := w.Serve(t, world.Unique(t))
		ctx := world.Patient(t)
		for early := true; early; { // it has moved in that time, but on a slow machine
			c, next := world.Dial(t, node), world.Dial(t, w.Node(t, "b"))
			mid := c.Send(object{"to": s.Name + ":[GET]/never", "bdy": object{}})
			s.Next()
			if answer, err := next.Client.Resume(ctx, "reconnect", object{"id": c.ID, "token": c.Token}); err != nil || next.ID != c.ID {
				t.Fatalf("not resumed: %s, %v", answer.Raw, err)
			}
			c.Closed()
			early = slices.ContainsFunc(c.Inbox(), func(m message) bool { return m.Rmid() == mid })
			if early && ctx.Err() == nil {
				continue
			}
			if m := next.Answer(mid); m.At("bdy", "code") != "timeout" {
				t.Errorf("answer %s", m.Raw)
			}
		}
	})
}
