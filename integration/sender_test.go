package integration

import (
	"net/http"
	"strings"
	"testing"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// S60: a peer, a POST or a service speaks for the router.
func TestNobodySpeaksForTheRouter(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	thief, s := world.Dial(t, node), w.Serve(t, world.Unique(t))
	for _, victim := range []*world.Client{world.Dial(t, w.Node(t, "b")), world.DialAcked(t, w.Node(t, "b"))} {
		for _, from := range []string{"hydra-router:/", victim.Router + "@hydra-router:/", "x@hydra-router", "Hydra-Router:/"} {
			forged := object{"to": victim.Address(), "frm": from, "typ": "connection", "bdy": object{"id": thief.ID}}
			if m := thief.Call(forged); m.At("bdy", "code") != "forbidden" || m.Type() != "error" {
				t.Errorf("from %s: answered with %s", from, m.Raw)
			}
			forged["mid"] = "posted"
			text, err := harness.Encode(forged)
			if err != nil {
				t.Fatal(err)
			}
			if status, _ := postTo(t, node, "send", string(text)); status != http.StatusForbidden {
				t.Errorf("posted from %s: %d", from, status)
			}
			w.Push(t, victim.ID, string(text))
			if err := w.Conn.Publish("umf.v1.live."+victim.ID[:1]+"."+victim.ID+".p", text); err != nil {
				t.Fatal(err)
			}
		}
		w.Push(t, victim.ID, `{"to":"x:/","frm":"`+s.Name+`:/","typ":"after","bdy":1}`)
		if m := victim.Next(); m.Type() != "after" {
			t.Errorf("got %s", m.Raw)
		}
		victim.Quiet()
	}
	thief.Fence()
	s.Empty()
}

// S61: a client learns who wrote to it, over nodes, and nothing else may say so.
func TestSenderIsTold(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	from, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	for _, to := range []*world.Client{world.Dial(t, w.Node(t, "b")), world.DialAcked(t, w.Node(t, "b"))} {
		from.Send(`{"to":"` + to.Address() + `","frm":"` + to.Address() + `","hdr":{"X-From":"` + to.ID + `","x-user":"admin","x-seq":"9"},"bdy":1}`)
		m := to.Next()
		if m.At("hdr", "x-from") != from.ID || strings.Contains(string(m.Raw), "admin") || strings.Contains(string(m.Raw), "X-") || m.Seq() == 9 {
			t.Errorf("got %s", m.Raw)
		}
	}
	from.Send(object{"to": s.Name + ":/", "hdr": object{"x-from": "other", "a": 1}, "bdy": 1})
	if _, m := s.Next(); string(m.Fields["hdr"]) != `{"a":1}` {
		t.Errorf("the service got %s", m.Raw)
	}
}

// S67: somebody has the id of a session and nothing else.
func TestThiefHasOnlyTheID(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	a, b := w.Node(t, "a"), w.Node(t, "b")
	asks := func(c *world.Client, body object) harness.Message {
		t.Helper()
		m, err := c.Client.Resume(world.Patient(t), "reconnect", body)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	refused := func(node *harness.Node, body object, why string) {
		t.Helper()
		if m := asks(world.Dial(t, node), body); m.At("bdy", "resumed") != false || m.At("bdy", "why") != why {
			t.Errorf("%v: answered %s", body, m.Raw)
		}
	}

	// A client that lives, whatever its subprotocol.
	for _, protocols := range [][]string{nil, {"umf.v1"}, {"umf.ack.v1"}} {
		victim := world.DialWith(t, a.URL("/"), harness.DialOptions{Protocols: protocols})
		why := "live"
		if protocols != nil {
			why = "token"
		}
		for _, node := range []*harness.Node{a, b} {
			refused(node, object{"id": victim.ID}, why)
			refused(node, object{"id": victim.ID, "attempt": 1 << 40}, why)
			refused(node, object{"id": victim.ID, "token": "wrong"}, "token")
		}
		w.PushNumbers(t, victim.ID, 0, 3)
		victim.WantBodies(0, 3)
		victim.Fence()
	}

	// A client that is silent: its session is given away, and at once to who has its
	// secret.
	silent := world.DialWith(t, a.URL("/"), harness.DialOptions{NoPong: true})
	again := world.Dial(t, b)
	if m := asks(again, object{"id": silent.ID}); m.At("bdy", "resumed") != true {
		t.Errorf("from a silent client: %s", m.Raw)
	}
	w.PushNumbers(t, silent.ID, 0, 1)
	again.WantBodies(0, 1)
	if code, _ := silent.Closed(); code != 4501 {
		t.Errorf("the silent client is closed with %d", code)
	}
	third := world.Dial(t, a)
	if m := asks(third, object{"id": silent.ID, "token": silent.Token}); m.At("bdy", "resumed") != true {
		t.Errorf("with the secret: %s", m.Raw)
	}

	// Its secret was shown, so that nothing less will do from now on.
	third.Drop()
	w.WaitParked(t, silent.ID)
	refused(b, object{"id": silent.ID}, "token")
	known := world.DialWith(t, a.URL("/"), harness.DialOptions{Protocols: []string{"umf.v1"}})
	known.Drop()
	w.WaitParked(t, known.ID)
	refused(b, object{"id": known.ID}, "token")
}
