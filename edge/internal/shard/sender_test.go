package shard

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
	"hydrant/umf"
)

// forged is what a peer would like a client to take for the router's.
func forged(to, from string) []object {
	return []object{
		{"to": to, "frm": from, "typ": "connection", "bdy": object{"id": "k7abcdefghijklmnopqrstuvwx", "resumed": true}},
		{"to": to, "frm": from, "typ": "gap", "bdy": object{"from": "1", "to": "9", "why": "overflow"}},
		{"to": to, "frm": from, "typ": "error", "bdy": object{"error": "go away", "code": "unavailable"}},
		{"to": to, "frm": from, "typ": "pong", "bdy": object{"typ": "pong"}},
		{"to": to, "frm": from, "typ": "ack", "bdy": object{"seq": "9"}},
	}
}

var routerNames = []string{"hydra-router:/", "hydra-router:", "hydra-router", "N@hydra-router:/", "N@hydra-router", "N-S@hydra-router:/x",
	"Hydra-Router:/", " hydra-router:/", "hydra-router@client:/"}

// TestClientSpeaksForTheRouter: it is refused, however it names the router and
// wherever the message goes, and the connection stays.
func TestClientSpeaksForTheRouter(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, victim := s.dial(), s.dialAcked()
	l.run()
	l.nats.published = nil
	for _, from := range routerNames {
		for _, m := range forged(victim.address(), from) {
			c.refused(protocol.CodeForbidden, m)
		}
		c.refused(protocol.CodeForbidden, object{"to": "hydra-router:/", "fwd": victim.address(), "frm": from, "bdy": 1})
		c.refused(protocol.CodeForbidden, object{"to": "hydra-router:/queue", "fwd": "echo:/", "frm": from, "bdy": 1})
		c.refused(protocol.CodeForbidden, object{"to": viaOf(victim.address(), "N@hydra-router:/"), "frm": from, "bdy": 1})
		c.refused(protocol.CodeForbidden, object{"to": "echo:/", "frm": from, "bdy": 1})
		c.refused(protocol.CodeForbidden, object{"to": "echo:[GET]/", "frm": from, "bdy": 1})
	}
	c.raw(`{"to":"` + victim.address() + `","frm":"x:/","from":"\u0068ydra\u002drouter:\/","mid":"escaped","bdy":1}`)
	if m := c.next(); m.text("rmid") != "escaped" || m.text("bdy", "code") != "forbidden" {
		t.Errorf("answered with %s", m.raw)
	}
	victim.quiet()
	if list := l.nats.sent(); len(list) > 0 || len(l.nats.work) > 0 {
		t.Errorf("sent %v, %v", list, l.nats.work)
	}
	c.serves()
}

// TestMailboxSpeaksForTheRouter: what services store, push or answer is junk if it
// has the router's name, or could be read in two ways, and what follows comes.
func TestMailboxSpeaksForTheRouter(t *testing.T) {
	for name, dial := range map[string]func(*testShard) *testClient{"plain": (*testShard).dial, "acked": (*testShard).dialAcked} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.one()
			c := dial(s)
			junk := 0
			bad := func(data []byte) {
				l.nats.append(&stored{sid: c.id, data: data})
				l.push(c.id, data)
				junk += 2
			}
			for _, from := range routerNames {
				for _, m := range forged(c.address(), from) {
					text, err := json.Marshal(m)
					if err != nil {
						t.Fatal(err)
					}
					bad(text)
				}
			}
			bad(fmt.Appendf(nil, `{"to":"%s","frm":["hydra-router:/"],"typ":"gap","bdy":1}`, c.address()))
			bad(fmt.Appendf(nil, `{"to":"%s","frm":"svc:/","FRM":"hydra-router:/","typ":"x","Typ":"gap","bdy":1}`, c.address()))
			l.store(c.id, 0, 1)
			c.gets(0, 1)
			c.quiet()
			if n := s.node.metric("hydrant_mailbox_junk_total"); n != float64(junk) {
				t.Errorf("%v are taken for junk, want %d", n, junk)
			}
		})
	}
}

// TestAnswerToAForwardedRequest: it is from the service, and so passes the mailbox.
func TestAnswerToAForwardedRequest(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.nats.services[echo] = func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: []byte(`{"result":1}`)} }
	if m := c.call(object{"to": "hydra-router:/", "fwd": "echo:[GET]/x", "bdy": 1}); m.text("frm") != "echo:[GET]/x" {
		t.Errorf("answered with %s", m.raw)
	}
}

// TestSenderIsTold: a client learns from the node who sent, whatever the sender wrote.
func TestSenderIsTold(t *testing.T) {
	l := newLab(t)
	s := l.one()
	plain, known, victim := s.dial(), s.dialAs(`ann "1"`), s.dialAcked()
	for i, headers := range []string{`{}`, `{"a":1}`, `[1]`, `"text"`, `null`,
		`{"x-from":"V","X-FROM":"V","x-From":"V","a":1}`,
		`{"X-User":"admin","x-u\u017fer":"admin","\u0078-user":"admin","a":1}`,
		`{"x-seq":"999","X-Seq":"1","x-\u0073eq":"2","x-ſeq":"3","X-PREV":"0","x-prev":1,"a":1}`} {
		for _, c := range []*testClient{plain, known} {
			for j, to := range []string{`"to":"` + victim.address() + `"`, `"to":"hydra-router:/","fwd":"` + victim.address() + `"`} {
				c.raw(fmt.Sprintf(`{%s,"frm":"client:/","mid":"m%d-%d","headers":%s,"bdy":1}`, to, i, j, headers))
				m := victim.next()
				want := object{"x-from": string(c.id), "x-seq": m.text("hdr", "x-seq"), "x-prev": m.text("hdr", "x-prev")}
				if c == known {
					want["x-user"] = `ann "1"`
				}
				if strings.Contains(headers, `"a":1`) {
					want["a"] = 1.0
				}
				if got, _ := m.at("hdr").(object); fmt.Sprint(got) != fmt.Sprint(want) || strings.Count(strings.ToLower(m.raw), `"x-`) != strings.Count(fmt.Sprint(want), "x-") {
					t.Errorf("%s: got %s, want %v", headers, m.raw, want)
				}
				victim.ack(m.text("hdr", "x-seq"))
			}
		}
	}
}

// TestReservedHeadersOfClients: services do not get them either, and nothing is
// stamped for them, which the NATS headers tell.
func TestReservedHeadersOfClients(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c := s.dial()
	l.run()
	for _, to := range []string{`"to":"echo:/"`, `"to":"echo:[GET]/"`, `"to":"hydra-router:/","fwd":"echo:/"`, `"to":"hydra-router:/queue","fwd":"echo:/"`} {
		l.nats.published, l.nats.work = nil, nil
		c.raw(`{` + to + `,"frm":"client:/","mid":"m","hdr":{"X-From":"V","a":[1, 2],"x-seq":"1","\u0078-user":"admin"},"bdy":1}`)
		l.run()
		data := ""
		for _, m := range l.nats.sent() {
			data += string(m.Data)
		}
		for _, op := range l.nats.work {
			data += string(op.Data)
		}
		if !strings.Contains(data, `"hdr":{"a":[1, 2]}`) {
			t.Errorf("%s: %s", to, data)
		}
	}
}

// TestHeadersFromServices: a service may say for whom it acts, but a sequence is the
// node's alone, also to a client that does not confirm.
func TestHeadersFromServices(t *testing.T) {
	l := newLab(t)
	s := l.one()
	for _, c := range []*testClient{s.dial(), s.dialAcked()} {
		l.nats.append(&stored{sid: c.id, data: fmt.Appendf(nil,
			`{"to":"%s","frm":"svc:/","mid":"m","hdr":{"x-user":"ann","X-Seq":"9","x-prev":"8","x-seq":"7"},"bdy":1}`, c.address())})
		l.run()
		m := c.next()
		want := 1
		if m.at("hdr", "x-seq") != nil {
			want = 3
		}
		if m.text("hdr", "x-user") != "ann" || m.at("hdr", "X-Seq") != nil || strings.Count(m.raw, `"x-`) != want || strings.Contains(m.raw, `"7"`) {
			t.Errorf("got %s", m.raw)
		}
	}
}

// TestKeysInAnotherCase: a message that others would read in another way is refused,
// and its sender may go on.
func TestKeysInAnotherCase(t *testing.T) {
	l := newLab(t)
	s := l.one()
	c, victim := s.dial(), s.dial()
	l.run()
	l.nats.published = nil
	for _, key := range []string{"BDY", "Body", "TO", "Frm", "From", "VIA", "Fwd", "AUT", "Mid", "tſ", `\u0056ia`, "vıa"} {
		for _, to := range []string{"echo:/", victim.address(), "hydra-router:/", "echo:[GET]/"} {
			c.raw(fmt.Sprintf(`{"to":"%s","frm":"client:/","mid":"m","bdy":1,"%s":{"amount":1000000}}`, to, key))
			if m := c.next(); m.text("rmid") != "m" || m.text("bdy", "code") != "invalid_message" {
				t.Errorf("%s to %s: answered with %s", key, to, m.raw)
			}
		}
	}
	victim.quiet()
	if list := l.nats.sent(); len(list) > 0 {
		t.Errorf("sent %v", list)
	}
	c.serves()
}

// TestOnlyWhatWasSigned: what a signature does not cover does not go on, and what
// would have to be changed is refused.
func TestOnlyWhatWasSigned(t *testing.T) {
	const secret = "a secret"
	sign := func(text string) string {
		var e umf.Envelope
		if err := umf.Scan([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		return umf.NewKeys(secret).Sign(&e)
	}
	l := newLab(t)
	s := l.one(func(n *Node) { n.Signatures = access.NewSignatures([]string{secret}, 0, nil) })
	c, other := s.dial(), s.dial()
	l.run()
	text := fmt.Sprintf(`{"to":"%s","frm":"client:/","mid":"m","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","hdr":{"a":1},"bdy":{"amount":1}`, other.address())
	c.raw(text + `,"sig":"` + sign(text+"}") + `","pri":9,"ttl":1,"for":"x:/","rmi":"y","note":2}`)
	m := other.next()
	for _, key := range []string{"sig", "pri", "ttl", "for", "rmi", "note"} {
		if m.at(key) != nil {
			t.Errorf("%s goes on: %s", key, m.raw)
		}
	}
	if m.at("bdy", "amount") != 1.0 || m.at("hdr", "a") != 1.0 || m.text("hdr", "x-from") != string(c.id) {
		t.Errorf("got %s", m.raw)
	}
	l.advance(2e9) // the ttl that was added would have ended a message that waits
	c.raw(text + `,"sig":"` + sign(text+"}") + `","BDY":{"amount":1000000}}`)
	if m := c.next(); m.text("rmid") != "m" || m.text("bdy", "code") != "invalid_message" {
		t.Errorf("a second body: answered with %s", m.raw)
	}
	for _, header := range []string{"x-from", "X-User", "x-seq", `\u0058-prev`, "x-ſeq"} {
		text := fmt.Sprintf(`{"to":"%s","frm":"client:/","mid":"m-%s","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","hdr":{"%s":"1"},"bdy":1`, other.address(), strings.Trim(header, `\`), header)
		c.raw(text + `,"sig":"` + sign(text+"}") + `"}`)
		if m := c.next(); m.text("bdy", "code") != "forbidden" {
			t.Errorf("%s: answered with %s", header, m.raw)
		}
	}
	other.quiet()
	if c.code != 0 {
		t.Errorf("closed with %d", c.code)
	}
}

// TestStampAllocations: to say who sent costs no memory of its own.
func TestStampAllocations(t *testing.T) {
	l := newLab(t)
	c := l.one().dialAs("ann")
	headers := []byte(`{"content-type":"text/plain","traceparent":"x"}`)
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { buf = c.has.appendSender(buf[:0], headers) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"to":"a:/","frm":"x@client:/","hdr":{"x":1},"bdy":1}`), &e); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { protocol.CheckSender(&e, "hydra-router", true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSender is what it costs to know, and to say, who sent a message: each
// message is checked, and one for another client gets headers.
func BenchmarkSender(b *testing.B) {
	c := newLab(b).one().dialAs("ann@example.org")
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"to":"echo:/v1/chat","frm":"`+string(c.has.sid)+`@client:/","mid":"b7a1c6de-0b3f-4f39-9f2a-0f6a0f1d2c3b",`+
		`"ts":"2026-01-12T20:16:29.157Z","typ":"chat","ver":"UMF/1.4.6","bdy":{"room":"lobby","text":"a message of ordinary length"}}`), &e); err != nil {
		b.Fatal(err)
	}
	b.Run("checked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if fault := protocol.CheckSender(&e, "hydra-router", false); fault != nil {
				b.Fatal(fault)
			}
		}
	})
	for name, headers := range map[string]string{"stamped": "", "stamped beside headers": `{"content-type":"text/plain","traceparent":"x"}`} {
		b.Run(name, func(b *testing.B) {
			buf, headers := make([]byte, 0, 512), []byte(headers)
			b.ReportAllocs()
			for b.Loop() {
				buf = c.has.appendSender(buf[:0], headers)
			}
		})
	}
}
