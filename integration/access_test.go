package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// hostileNames are what a subject must never be made of.
var hostileNames = []string{
	"*", ">", ".", "..", "a.b", "svc.*", "svc.>", "$JS.API.STREAM.DELETE.UMF_WORK", "$SYS.REQ.SERVER.PING", "_INBOX.x",
	"umf.v1.out.a.b", "a b", "a\tb", "a\r\nPUB x 0\r\n", "\x00", "a\x00b", "é", "ａ", "..%2f", "a/b", "a*", strings.Repeat("x", 5000),
}

// S2, S3, S8: nothing is published or created outside the scheme. The watch
// of the shared world looks at every subject; here are the ones that hostile
// names could make.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Node(t, "a")
	bystander(t, node)
	streams, err := w.NATS.Streams(t.Context(), w.Conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range hostileNames {
		for _, sent := range []object{
			{"to": name + ":/"},
			{"to": name + "@svc:/"},
			{"to": "svc@" + name + ":/"},
			{"to": name + "@client:/"},
			{"to": name + ":[GET]/p"},
			{"to": "hydra-router:/", "fwd": name + "@client:/"},
			{"to": "hydra-router:/", "fwd": name + ":/"},
			{"to": "hydra-router:/queue", "fwd": name + ":/"},
			{"to": "hydra-router:/", "typ": "reconnect", "bdy": object{"id": name}},
			{"to": "hydra-router:/", "typ": "reconnection", "bdy": object{"id": name, "token": name, "seq": name}},
			{"to": "hydra-router:/", "typ": "wsdir.loc", "bdy": object{"clientID": name}},
			{"to": "hydra-router:/", "typ": "ack", "bdy": object{"seq": name}},
			{"to": "hydra-router:[GET]/v1/router/" + name},
			{"to": "hydra-router:[GET]/v1/router/refresh/" + name},
		} {
			c := world.Dial(t, node)
			if _, ok := sent["bdy"]; !ok {
				sent["bdy"] = 1
			}
			mid := c.Send(sent)
			// Every one of them is answered: with an error, or with a fresh
			// session; some end the connection.
			answer := c.Next()
			if answer.Error() == "" && answer.Rmid() != mid && answer.Type() != "connection" {
				t.Errorf("%.200v is answered with %.300s", sent, answer.Raw)
			}
			if answer.At("bdy", "resumed") == true {
				t.Errorf("%.200v resumed a session: %.300s", sent, answer.Raw)
			}
			c.Drop()
		}
	}
	after, err := w.NATS.Streams(t.Context(), w.Conn)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(streams) != fmt.Sprint(after) {
		t.Errorf("streams were %v and are %v", streams, after)
	}
	if err := w.NATS.Watch.Fence(world.Patient(t), w.Conn); err != nil {
		t.Fatal(err)
	}
	if bad := w.NATS.Watch.Violations(); len(bad) > 0 {
		t.Errorf("messages outside the scheme, on %.300q", bad)
	}
}

// S3: hostile mids do not get into a subject either.
func TestHostileMids(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	for _, mid := range []string{"a.b", "*", ">", "a b", "\r\nPUB x 0\r\n\r\n", "\x00", "é", "x", "m.", strings.Repeat("y", 64), strings.Repeat("y", 65)} {
		c.Send(object{"to": s.Name + ":/", "mid": mid, "bdy": 1})
		request, m := s.Next()
		world.Want(t, m, "mid", mid)
		s.Respond(request, object{"to": m.Via(), "frm": "i@" + s.Name + ":/", "mid": "a", "rmid": mid, "bdy": "yes"})
		world.Want(t, c.Answer(mid), "bdy", "yes")
		world.Want(t, c.Call(object{"to": "nosuch:/", "mid": mid, "bdy": 1}), "frm", c.Router+"@hydra-router:/")
	}
	// Too long for a subject: refused with an error, or taken, but not lost.
	mid := strings.Repeat("z", 5000)
	c.Send(object{"to": "nosuch:/", "mid": mid, "bdy": 1})
	if m := c.Next(); m.Error() == "" {
		t.Errorf("answer %.300s", m.Raw)
	}
}

// S4: neither the handshake nor a message can add a NATS header.
func TestHeadersDoNotReachNATS(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	s := w.Serve(t, world.Unique(t))
	c := world.DialWith(t, w.Node(t, "a").URL("/"), harness.DialOptions{Header: http.Header{
		"Umf-Identity": {"admin"}, "Umf-Session": {"x"}, "Nats-Msg-Id": {"x"}, "Nats-Ttl": {"1s"}, "Umf-Mark": {"1"},
	}})
	c.Send(object{"to": s.Name + ":/", "bdy": 1, "ttl": 60, "aut": "x\r\nUmf-Identity: admin",
		"hdr": object{"Umf-Identity": "admin", "Nats-Msg-Id": "x", "Umf-Session": "x", "Nats-Rollup": "all", "a\r\nUmf-Identity": "admin"}})
	request, _ := s.Next()
	wantEdgeHeaders(t, c, request)
}

// S14, S15: from is the client's word; who it is stands in the headers and in
// via, which are the edge's.
func TestSpoofedSender(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	s := w.Serve(t, world.Unique(t))
	c, victim := world.Dial(t, w.Node(t, "a")), world.Dial(t, w.Node(t, "a"))
	mid := c.Send(object{"to": s.Name + ":/", "frm": victim.Address(), "via": via(victim), "bdy": 1})
	request, m := s.Next()
	wantEdgeHeaders(t, c, request)
	world.Want(t, m, "via", via(c))
	s.Respond(request, object{"to": m.Via(), "frm": "i@" + s.Name + ":/", "mid": "a", "rmid": mid, "bdy": "for the sender"})
	world.Want(t, c.Answer(mid), "bdy", "for the sender")

	// Between clients, too (I8: the victim's own answers are its own).
	c.Send(object{"to": "hydra-router:/", "fwd": victim.Address(), "frm": "root@admin:/", "via": "x-y@hydra-router:/", "bdy": 1})
	world.Want(t, victim.Next(), "via", c.Router+"@hydra-router:/")
	victim.Quiet()
}

// S21: one bounded line each.
func TestLogLines(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	node := w.Start(t, "log lines", map[string]string{"EDGE_LOG_LEVEL": "debug"})
	mark := node.Log.Mark()
	const forged = "FORGED-LINE"
	evil := "x\n" + forged + " a\r\n" + forged + " b\x1b[31m" + "\u2028" + forged + strings.Repeat("y", 200_000)
	for _, sent := range []any{
		object{"to": evil, "bdy": 1},
		object{"to": "hydra-router:/", "typ": "log", "bdy": object{"text": evil}},
		object{"to": "hydra-router:/", "typ": evil, "bdy": 1},
		object{"to": "hydra-router:/", "typ": "reconnect", "bdy": object{"id": evil}},
		evil,
	} {
		c := world.DialWith(t, node.URL("/"+strings.Repeat("p", 2000)), harness.DialOptions{Header: http.Header{"User-Agent": {strings.Repeat("u", 3000)}}})
		c.Send(sent)
		if err := c.Client.Send(object{"to": "hydra-router:/", "frm": "c", "mid": "f", "typ": "ping", "bdy": 1}); err == nil {
			_, _ = c.Client.Find(t.Context(), func(m message) bool { return m.Rmid() == "f" }) // or the end
		}
	}
	page, err := harness.Get(node.AdminHTTP("/v1/router/log"))
	if err != nil {
		t.Fatal(err)
	}
	if len(page) > 256<<10 {
		t.Errorf("/v1/router/log holds %d bytes after one long message", len(page))
	}
	for line := range bytes.Lines(node.Log.Since(mark)) {
		if len(line) > 4096 {
			t.Errorf("a line of %d bytes: %.200q", len(line), line)
		}
		if bytes.HasPrefix(line, []byte(forged)) {
			t.Errorf("a client wrote the line %.200q", line)
		}
		for _, r := range string(bytes.TrimRight(line, "\n")) {
			if unicode.IsControl(r) && r != '\t' {
				t.Errorf("control character %U in %.200q", r, line)
				break
			}
		}
	}
}
