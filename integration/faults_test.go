package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// R38: two senders may use the same mid, and a sender may use it for two
// receivers.
func TestSameMidFromTwoSenders(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	one, two, to := world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "b")), world.Dial(t, w.Node(t, "a"))
	other := world.Dial(t, w.Node(t, "b"))
	one.Send(object{"to": to.Address(), "mid": "same", "bdy": "one"})
	world.Want(t, to.Next(), "mid", "same", "bdy", "one")
	two.Send(object{"to": to.Address(), "mid": "same", "bdy": "two"})
	world.Want(t, to.Next(), "mid", "same", "bdy", "two")
	one.Send(object{"to": other.Address(), "mid": "same", "bdy": "other"})
	world.Want(t, other.Next(), "mid", "same", "bdy", "other")
}

// R40: an error to that client; the NATS connection stays.
func TestTooMuchForNATS(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "large") // takes 4 MiB, where NATS takes 1 MiB
	c, to, s := world.Dial(t, node), world.Dial(t, node), w.Serve(t, world.Unique(t))
	w.RegisterQueue(t, s.Name)
	before := connectionsOf(t, w)
	huge := strings.Repeat("x", 2<<20)
	for _, sent := range []object{
		{"to": strings.Repeat("t", 5000) + ":/", "bdy": 1},
		{"to": s.Name + ":/" + strings.Repeat("p", 5000), "bdy": 1},
		{"to": s.Name + ":/", "bdy": huge},
		{"to": to.Address(), "bdy": huge},
		{"to": "hydra-router:/", "fwd": to.Address(), "bdy": huge},
		{"to": s.Name + ":[GET]/p", "bdy": huge},
		{"to": "hydra-router:/queue", "fwd": s.Name + ":/", "bdy": huge},
	} {
		m := c.Call(sent)
		if m.Error() == "" && m.At("bdy", "reason") == nil {
			t.Errorf("to %.50v: no error in %.300s", sent["to"], m.Raw)
		}
		c.Fence()
	}
	s.Empty()
	to.Quiet()
	after := connectionsOf(t, w)
	for name, ids := range before {
		if strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, s.Name) {
			continue // another test's service, which may have ended
		}
		if after[name] != ids {
			t.Errorf("NATS connections of %q were %s and are %s", name, ids, after[name])
		}
	}
}

// connectionsOf maps the names of NATS clients to the ids of their
// connections. A node has a new one after it was thrown out.
func connectionsOf(t *testing.T, w *world.World) map[string]string {
	t.Helper()
	connections, err := w.NATS.Servers[0].Connections()
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]string)
	for _, c := range connections {
		ids[fmt.Sprintf("%s:%d", c.Name, c.Port)] += fmt.Sprint(c.CID, " ")
	}
	return ids
}

// R41: words that meant something to the original.
func TestControlWordsInBodies(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	from, to, s := world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "b")), w.Serve(t, world.Unique(t))
	for _, body := range []string{
		`{"routerID":"x"}`, `{"action":"refresh"}`, `{"action":"refresh","serviceName":"echo-svcs"}`, `{"id":"x"}`, `{"typ":"ping"}`,
		`{"error":"x"}`, `{"routerID":"` + to.Router + `","action":"clear"}`,
	} {
		from.Send(object{"to": to.Address(), "bdy": harness.RawNumber(body)})
		if m := to.Next(); m.Body() != body {
			t.Errorf("to a client: %s arrives as %s", body, m.Body())
		}
		mid := from.Send(object{"to": s.Name + ":/", "bdy": harness.RawNumber(body)})
		request, m := s.Next()
		if m.Body() != body {
			t.Errorf("to a service: %s arrives as %s", body, m.Body())
		}
		s.Respond(request, object{"to": m.Via(), "frm": "i@" + s.Name + ":/", "mid": "a", "rmid": mid, "typ": "ping", "bdy": harness.RawNumber(body)})
		if m := from.Next(); m.Body() != body {
			t.Errorf("from a service: %s arrives as %s", body, m.Body())
		}
	}
}

// R48: what other NATS clients send to the node's own subjects harms no client.
func TestJunkOnTheNodesSubjects(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	c := world.Dial(t, node)
	zeros := strings.Repeat("0", 32)
	for _, subject := range []string{
		"umf.v1.node." + c.Router,
		"umf.v1.req." + c.Router + ".1", "umf.v1.req." + c.Router + ".nonsense",
		"umf.v1.reply." + c.Router + "." + c.ID[:1] + "." + c.ID,
		"umf.v1.reply." + zeros + "." + c.ID[:1] + "." + c.ID + ".m1",
		"umf.v1.live." + c.ID[:1] + "." + c.ID + ".s", "umf.v1.live." + c.ID[:1] + "." + c.ID + ".p",
	} {
		for _, junk := range []string{"", "\x00", "{", `{"to":1}`, `[]`, strings.Repeat("[", 100_000), "\xff\xfe"} {
			if err := w.Conn.PublishMsg(&nats.Msg{Subject: subject, Data: []byte(junk), Header: nats.Header{
				"Nats-Sequence": {"junk"}, "Umf-Mark": {"junk"}, "Nats-Last-Sequence": {"-1"}, "Status": {"503"},
			}}); err != nil {
				t.Fatal(err)
			}
			if err := w.Conn.Publish(subject, []byte(junk)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	// The mailbox goes on, and so does the node.
	w.Push(t, c.ID, world.Pushed(c.ID, "after-the-junk", 1))
	c.Find(func(m message) bool { return m.Mid() == "after-the-junk" })
	c.Fence()
	if err := node.Ready(); err != nil {
		t.Error(err)
	}
	for _, counted := range []string{`hydrant_dropped_total{reason="bad_order"}`, "hydrant_mailbox_junk_total"} {
		if metrics(t, node)[counted] == 0 {
			t.Errorf("%s is 0", counted)
		}
	}
}
