package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
	"hydrant/umf"
)

// via is the address that a service answers to.
func via(c *world.Client) string { return c.Router + "-" + c.ID + "@hydra-router:/" }

// Hydra, to svc:/path in the short form: the bytes are the client's but for via.
func TestToServiceShortForm(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	body := `{"n": 9007199254740993, "big":1e400,"zero":-0, "s":"\u00e9\/", "routerID":"x","action":"refresh"}`
	raw := fmt.Sprintf(`{"to":"%s:/path/x?y=1","frm":"%s","hdr":{"h":"1"},"mid":"mid-1","rmid":"r-1","tmo":7,`+
		`"ts":"2026-01-12T20:16:29.157Z","typ":"t","ver":"UMF/1.4.5","via":"evil-evil@hydra-router:/","bdy":%s,`+
		`"aut":"a","pri":3,"ttl":60,"for":"f","x-own":[1, 2]}`, s.Name, c.Address(), body)
	c.Send(raw)
	request, m := s.Next()
	world.Want(t, m, "frm", c.Address(), "mid", "mid-1", "rmid", "r-1", "ts", "2026-01-12T20:16:29.157Z", "typ", "t",
		"ver", "UMF/1.4.5", "via", via(c), "aut", "a", "for", "f")
	if to := m.To(); to != s.Name+":/path/x?y=1" && !strings.HasSuffix(to, "@"+s.Name+":/path/x?y=1") {
		t.Errorf("to %q", to)
	}
	for key, value := range map[string]string{"bdy": body, "hdr": `{"h":"1"}`, "tmo": "7", "pri": "3", "ttl": "60", "x-own": "[1, 2]"} {
		if got := string(m.Fields[key]); got != value {
			t.Errorf("%s is %s, want %s", key, got, value)
		}
	}
	wantEdgeHeaders(t, c, request)
	if strings.Contains(string(request.Data), "evil") {
		t.Errorf("the client's via went on: %s", request.Data)
	}
}

// wantEdgeHeaders checks how a service knows who really sent it
// (S14, S15), and that there is nothing else (S4).
func wantEdgeHeaders(t *testing.T, c *world.Client, request *nats.Msg) {
	t.Helper()
	if got := request.Header.Get("Umf-Session"); got != c.ID {
		t.Errorf("Umf-Session %q, want %q", got, c.ID)
	}
	if got := request.Header.Get("Umf-Mailbox"); got != world.Mailbox(c.ID) {
		t.Errorf("Umf-Mailbox %q, want %q", got, world.Mailbox(c.ID))
	}
	for name := range request.Header {
		switch name {
		case "Umf-Session", "Umf-Mailbox", "traceparent", "tracestate":
		case "Umf-Identity":
			t.Errorf("an identity, though nobody authenticated: %v", request.Header[name])
		default:
			t.Errorf("header %q: %v", name, request.Header[name])
		}
	}
}

// Hydra: keys in this order, whatever form came in.
func TestToServiceLongForm(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	c.Send(fmt.Sprintf(`{"body":{"b":1, "a":2},"from":"%s","own":true,"headers":{"h":1},"to":"%s:/","type":"t","timeout":5,`+
		`"ttl":60,"authorization":"a","rmid":"r","priority":1,"for":"f","mid":"m"}`, c.Address(), s.Name))
	_, m := s.Next()
	order := []string{"to", "frm", "hdr", "mid", "rmid", "tmo", "ts", "typ", "ver", "via", "bdy", "aut", "pri", "ttl", "for", "own"}
	if !slices.Equal(m.Keys, order) {
		t.Errorf("keys %v, want %v", m.Keys, order)
	}
	if m.Body() != `{"b":1, "a":2}` {
		t.Errorf("body %s", m.Body())
	}
	world.Want(t, m, "ver", "UMF/1.4.6", "via", via(c), "mid", "m", "typ", "t", "rmid", "r")
	if _, err := harness.Timestamp(m); err != nil {
		t.Errorf("the timestamp that was filled in: %v", err)
	}
}

func TestToServiceFillsInWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	c.Send(fmt.Sprintf(`{"to":"%s:/","frm":"%s","bdy":{}}`, s.Name, c.Address()))
	_, m := s.Next()
	world.Want(t, m, "ver", "UMF/1.4.6")
	if m.Mid() == "" {
		t.Error("no mid")
	}
	if _, err := harness.Timestamp(m); err != nil {
		t.Error(err)
	}
}

// Hydra: bodies of any kind are taken, unchanged.
func TestBodiesOfAnyKind(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	for _, body := range []string{`{}`, `"text"`, `42`, `true`, `[]`, `[1, "x", null]`, `{"a":{"b":[{}]}}`, `1E+2`, `"é😀\ud83d\ude00\u0000"`} {
		c.Send(fmt.Sprintf(`{"to":"%s:/","frm":"%s","mid":"m","bdy":%s}`, s.Name, c.Address(), body))
		if _, m := s.Next(); m.Body() != body {
			t.Errorf("body %s arrives as %s", body, m.Body())
		}
	}
}

// Hydra: a frame whose opcode says binary is read as text.
func TestBinaryFrame(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	if err := c.SendBinary(object{"to": s.Name + ":/", "frm": c.Address(), "mid": "bin", "bdy": "b"}); err != nil {
		t.Fatal(err)
	}
	_, m := s.Next()
	world.Want(t, m, "mid", "bin", "bdy", "b")
}

// A plain Respond() in any language reaches the client,
// with the bytes that the service sent.
func TestPlainRespond(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	mid := c.Send(object{"to": s.Name + ":/", "bdy": "?"})
	request, m := s.Next()
	reply := fmt.Sprintf(`{"to":"%s","frm":"i-1@%s:/","mid":"answer-1","rmid":"%s","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":{ "n" : 1 },"own":1}`,
		m.Via(), s.Name, mid)
	s.Respond(request, reply)
	if got := c.Answer(mid); string(got.Raw) != reply {
		t.Errorf("arrives as %s, want %s", got.Raw, reply)
	}
}

// The same through the mailbox that the request named.
func TestReplyToTheMailboxHeader(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, s := world.Dial(t, w.Node(t, "a")), w.Serve(t, world.Unique(t))
	mid := c.Send(object{"to": s.Name + ":/", "bdy": "?"})
	request, _ := s.Next()
	reply := object{"to": via(c), "frm": "i@" + s.Name + ":/", "mid": "a", "rmid": mid, "bdy": "!"}
	raw, err := harness.Encode(reply)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.JS.Publish(t.Context(), request.Header.Get("Umf-Mailbox"), raw); err != nil {
		t.Fatal(err)
	}
	world.Want(t, c.Answer(mid), "bdy", "!")
}

// Hydra: what the example service answers.
func TestEchoReply(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	c, echo := world.Dial(t, w.Node(t, "b")), w.EchoService(t)
	mid := c.Send(object{"to": echo + ":/some/path", "typ": "t", "bdy": object{"msg": "hello"}})
	m := c.Answer(mid)
	world.Want(t, m, "to", via(c), "via", "")
	if from := m.From(); !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}@` + echo + `:/some/path$`).MatchString(from) {
		t.Errorf("frm %q", from)
	}
	if m.Mid() == "" || m.Mid() == mid {
		t.Errorf("mid %q is not fresh", m.Mid())
	}
	if _, err := harness.Timestamp(m); err != nil {
		t.Error(err)
	}
	if !strings.Contains(m.Body(), "hello") {
		t.Errorf("body %s", m.Body())
	}
}

// Hydra: a service pushes to a via that it once got.
func TestPushToVia(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name := world.Unique(t)
	s := newBusService(t, w, name)
	c, bare := world.Dial(t, w.Node(t, "a")), w.Serve(t, name+"-2")
	c.Send(object{"to": bare.Name + ":/", "bdy": 1})
	_, m := bare.Next()
	push, err := umf.New(m.Via(), "i@"+name+":/", map[string]int{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PushVia(t.Context(), m.Via(), push); err != nil {
		t.Fatal(err)
	}
	got := c.Next()
	world.Want(t, got, "to", m.Via(), "mid", push.Mid, "rmid", "")
	if got.Body() != `{"n":1}` {
		t.Errorf("body %s", got.Body())
	}
}

// Hydra, to one instance: S@svc:/.
func TestToInstance(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name := world.Unique(t)
	group, one := w.Serve(t, name), w.ServeInstance(t, name, "one")
	c := world.Dial(t, w.Node(t, "a"))
	mid := c.Send(object{"to": "one@" + name + ":/p", "bdy": 1})
	request, m := one.Next()
	world.Want(t, m, "to", "one@"+name+":/p", "mid", mid)
	one.Respond(request, object{"to": m.Via(), "frm": "one@" + name + ":/p", "mid": "x", "rmid": mid, "bdy": "one"})
	world.Want(t, c.Answer(mid), "bdy", "one")
	group.Empty()

	c.WantError(c.Call(object{"to": "two@" + name + ":/p", "bdy": 1}), "")
	group.Empty()
}

// R35: the text is Hydra's, the rmid is new.
func TestNoInstances(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	echo := w.EchoService(t)
	c := world.Dial(t, w.Node(t, "a"))
	for _, name := range []string{"nosuch", strings.ToUpper(echo[:1]) + echo[1:], strings.Repeat("x", 64)} {
		m := c.Call(object{"to": name + ":/", "bdy": 1})
		c.WantError(m, "No "+name+" instances available")
		world.Want(t, m, "frm", c.Router+"@hydra-router:/")
		if code, _ := m.At("bdy", "code").(string); code == "" { // which Hydra has not
			t.Errorf("no code in %s", m.Raw)
		}
	}
}

// R35: mids that need care in a subject come back exactly as they were.
func TestNoInstancesWithStrangeMids(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	for _, mid := range []string{`"a.b.*.>"`, `"é \" \\ x"`, `"` + strings.Repeat("m", 90) + `"`, `17`, `"\u0041"`} {
		c.Send(fmt.Sprintf(`{"to":"nosuch:/","frm":"%s","mid":%s,"bdy":1}`, c.Address(), mid))
		m := c.Find(func(m message) bool { return m.Error() != "" })
		if got := string(m.Fields["rmid"]); compact(t, got) != compact(t, mid) {
			t.Errorf("mid %s is answered with rmid %s", mid, got)
		}
	}
}

// R35: a service that dies between two messages.
func TestServiceThatLeaves(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	name := world.Unique(t)
	c := world.Dial(t, w.Node(t, "a"))
	t.Run("while it is there", func(t *testing.T) {
		s := w.Serve(t, name)
		c.Send(object{"to": name + ":/", "bdy": 1})
		s.Next()
	})
	if err := w.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	c.WantError(c.Call(object{"to": name + ":/", "bdy": 2}), "No "+name+" instances available")
}

// Hydra: what the original took for a random router or a glob.
func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	c := world.Dial(t, world.Shared(t).Node(t, "a"))
	for _, to := range []string{"svc", "ech*:/", ">:/", "a.b:/", "*@svc:/", "a b:/", "é:/", strings.Repeat("x", 65) + ":/", "@svc:/", ":/"} {
		c.WantError(c.Call(object{"to": to, "bdy": 1}), "")
	}
}

// compact removes white space outside strings, to compare JSON.
func compact(t *testing.T, raw string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newBusService makes a service of the Go SDK.
func newBusService(t *testing.T, w *world.World, name string) *bus.Service {
	t.Helper()
	s, err := bus.NewService(w.Conn, bus.ServiceConfig{Name: name, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}
