package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/integration/harness"
)

// R38: two senders may use the same mid, and a sender may use it for two
// receivers.
func TestSameMidFromTwoSenders(t *testing.T) {
	t.Parallel()
	w := shared(t)
	one, two, to := dial(t, w.node(t, "a")), dial(t, w.node(t, "b")), dial(t, w.node(t, "a"))
	other := dial(t, w.node(t, "b"))
	one.send(object{"to": to.Address(), "mid": "same", "bdy": "one"})
	want(t, to.next(), "mid", "same", "bdy", "one")
	two.send(object{"to": to.Address(), "mid": "same", "bdy": "two"})
	want(t, to.next(), "mid", "same", "bdy", "two")
	one.send(object{"to": other.Address(), "mid": "same", "bdy": "other"})
	want(t, other.next(), "mid", "same", "bdy", "other")
}

// R40: an error to that client; the NATS connection stays.
func TestTooMuchForNATS(t *testing.T) {
	t.Parallel()
	w := shared(t)
	node := w.node(t, "large") // takes 4 MiB, where NATS takes 1 MiB
	c, to, s := dial(t, node), dial(t, node), w.serve(t, unique(t))
	before := connectionsOf(t, w)
	huge := strings.Repeat("x", 2<<20)
	for _, sent := range []object{
		{"to": strings.Repeat("t", 5000) + ":/", "bdy": 1},
		{"to": s.name + ":/" + strings.Repeat("p", 5000), "bdy": 1},
		{"to": s.name + ":/", "bdy": huge},
		{"to": to.Address(), "bdy": huge},
		{"to": "hydra-router:/", "fwd": to.Address(), "bdy": huge},
		{"to": s.name + ":[GET]/p", "bdy": huge},
		{"to": "hydra-router:/queue", "fwd": s.name + ":/", "bdy": huge},
	} {
		m := c.call(sent)
		if m.Error() == "" && m.At("bdy", "reason") == nil {
			t.Errorf("to %.50v: no error in %.300s", sent["to"], m.Raw)
		}
		c.fence()
	}
	s.empty()
	to.quiet()
	after := connectionsOf(t, w)
	for name, ids := range before {
		if after[name] != ids {
			t.Errorf("NATS connections of %q were %s and are %s", name, ids, after[name])
		}
	}
}

// connectionsOf maps the names of NATS clients to the ids of their
// connections. A node has a new one after it was thrown out.
func connectionsOf(t *testing.T, w *world) map[string]string {
	t.Helper()
	connections, err := w.nats.Servers[0].Connections()
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
	w := shared(t)
	from, to, s := dial(t, w.node(t, "a")), dial(t, w.node(t, "b")), w.serve(t, unique(t))
	for _, body := range []string{
		`{"routerID":"x"}`, `{"action":"refresh"}`, `{"action":"refresh","serviceName":"echo-svcs"}`, `{"id":"x"}`, `{"typ":"ping"}`,
		`{"error":"x"}`, `{"routerID":"` + to.Router + `","action":"clear"}`,
	} {
		from.send(object{"to": to.Address(), "bdy": harness.RawNumber(body)})
		if m := to.next(); m.Body() != body {
			t.Errorf("to a client: %s arrives as %s", body, m.Body())
		}
		mid := from.send(object{"to": s.name + ":/", "bdy": harness.RawNumber(body)})
		request, m := s.next()
		if m.Body() != body {
			t.Errorf("to a service: %s arrives as %s", body, m.Body())
		}
		s.respond(request, object{"to": m.Via(), "frm": "i@" + s.name + ":/", "mid": "a", "rmid": mid, "typ": "ping", "bdy": harness.RawNumber(body)})
		if m := from.next(); m.Body() != body {
			t.Errorf("from a service: %s arrives as %s", body, m.Body())
		}
	}
}

// FAILURES "bad input from NATS": what other NATS clients send to the node's
// own subjects harms nobody.
func TestJunkOnTheNodesSubjects(t *testing.T) {
	t.Parallel()
	w := shared(t)
	node := w.node(t, "a")
	c := dial(t, node)
	zeros := strings.Repeat("0", 32)
	for _, subject := range []string{
		"umf.v1.node." + c.Router,
		"umf.v1.req." + c.Router + ".1", "umf.v1.req." + c.Router + ".nonsense",
		"umf.v1.reply." + c.Router + "." + c.ID[:1] + "." + c.ID,
		"umf.v1.reply." + zeros + "." + c.ID[:1] + "." + c.ID + ".m1",
		"umf.v1.live." + c.ID[:1] + "." + c.ID,
	} {
		for _, junk := range []string{"", "\x00", "{", `{"to":1}`, `[]`, strings.Repeat("[", 100_000), "\xff\xfe"} {
			if err := w.nc.PublishMsg(&nats.Msg{Subject: subject, Data: []byte(junk), Header: nats.Header{
				"Nats-Sequence": {"junk"}, "Umf-Mark": {"junk"}, "Nats-Last-Sequence": {"-1"}, "Status": {"503"},
			}}); err != nil {
				t.Fatal(err)
			}
			if err := w.nc.Publish(subject, []byte(junk)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// The mailbox goes on, and so does the node.
	w.push(t, c.ID, pushed(c.ID, "after-the-junk", 1))
	c.find(func(m message) bool { return m.Mid() == "after-the-junk" })
	c.fence()
	if err := node.Ready(); err != nil {
		t.Error(err)
	}
	for _, counted := range []string{`hydrant_dropped_total{reason="bad_order"}`, "hydrant_mailbox_junk_total"} {
		if metrics(t, node)[counted] == 0 {
			t.Errorf("%s is 0", counted)
		}
	}
}
