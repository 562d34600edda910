package edge

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"hydrant/umf"
)

func TestAppendSequenceHeader(t *testing.T) {
	for _, test := range []struct{ headers, want string }{
		{"", `{"x-seq":"7","x-prev":"5"}`},
		{"{}", `{"x-seq":"7","x-prev":"5"}`},
		{"{ }", `{"x-seq":"7","x-prev":"5"}`},
		{`"text"`, `{"x-seq":"7","x-prev":"5"}`},
		{`{"a":"b"}`, `{"a":"b","x-seq":"7","x-prev":"5"}`},
	} {
		got := string(appendSequenceHeader(nil, []byte(test.headers), 7, 5))
		if got != test.want {
			t.Errorf("headers %s: %s, want %s", test.headers, got, test.want)
		}
	}
	var forged map[string]string
	text := appendSequenceHeader(nil, []byte(`{"x-seq":"999"}`), 7, 5)
	if err := json.Unmarshal(text, &forged); err != nil || forged["x-seq"] != "7" {
		t.Errorf("a sender's x-seq counts: %s, %v", text, err)
	}
}

func TestWelcomeBody(t *testing.T) {
	body := welcomeBody{ID: "abc", IP: "127.0.0.1", TTL: time.Hour, Heartbeat: 25 * time.Second, Window: 256}
	for _, test := range []struct {
		resume int
		want   string
	}{
		{notResumed, `{"id":"abc","ip":"127.0.0.1","caps":["resume","ack"],"ttl":3600,"hb":25,"win":256}`},
		{resumed, `{"id":"abc","ip":"127.0.0.1","caps":["resume","ack"],"ttl":3600,"hb":25,"win":256,"resumed":true,"why":null}`},
		{resumeExpired, `{"id":"abc","ip":"127.0.0.1","caps":["resume","ack"],"ttl":3600,"hb":25,"win":256,"resumed":false,"why":"expired"}`},
	} {
		body.Resume = test.resume
		if got := string(body.append(nil)); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestTokenMatches(t *testing.T) {
	token := newToken()
	hash := hashToken(token)
	if !tokenMatches(token, hash[:]) {
		t.Error("the own token does not match")
	}
	for _, wrong := range []string{"", newToken(), token + "x"} {
		if tokenMatches(wrong, hash[:]) {
			t.Errorf("%q matches", wrong)
		}
	}
	if tokenMatches(token, nil) {
		t.Error("a session without a token accepts one")
	}
}

func TestAnswerBody(t *testing.T) {
	var e umf.Envelope
	for _, test := range []struct{ data, want string }{
		{"", "{}"},
		{`{"to":"a:/","frm":"b:/","bdy":{"x":1}}`, `{"x":1}`},
		{`{"statusCode":200,"result":{"x":1}}`, `{"x":1}`},
		{`{"x":1}`, `"{\"x\":1}"`},
		{`{"result":1,"Result":2}`, `1`},
		{`{"Result":1}`, `"{\"Result\":1}"`},
		{"plain text", `"plain text"`},
		{"\xff\xfe", "{}"},
	} {
		if got := string(answerBody(&e, []byte(test.data))); got != test.want {
			t.Errorf("answerBody(%q) = %s, want %s", test.data, got, test.want)
		}
	}
}

// TestParseResume: keys are read as JavaScript reads them (FAILURES P18).
func TestParseResume(t *testing.T) {
	for _, test := range []struct {
		body, id, token string
		seq             uint64
		bad             bool
	}{
		{body: `{"id":"a"}`, id: "a"},
		{body: `{"id":"a","token":"t","seq":"7"}`, id: "a", token: "t", seq: 7},
		{body: `{"id":"a","ID":"b","Token":"t","SEQ":9}`, id: "a"},
		{body: `{"id":"a","\u0069d":"\u0062","seq":7,"seq":null}`, id: "b"},
		{body: `{"id":"a","token":7}`, id: "a"},
		{body: `{"ID":"a"}`, bad: true},
		{body: `{"id":""}`, bad: true},
		{body: `{"id":7}`, bad: true},
		{body: `["id"]`, bad: true},
		{body: `{"id":"a","seq":-1}`, bad: true},
		{body: `{"id":"a","seq":"x"}`, bad: true},
	} {
		var e umf.Envelope
		if err := umf.Scan([]byte(`{"to":"x:/","frm":"y:/","bdy":`+test.body+`}`), &e); err != nil {
			t.Fatal(err)
		}
		r, err := parseResume(&e)
		if (err != nil) != test.bad || err == nil && (r.id != test.id || r.token != test.token || r.seq != test.seq || r.hasSeq != (test.seq > 0)) {
			t.Errorf("%s: %+v, %v", test.body, r, err)
		}
	}
}

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"a\nb\x1b[31mc":   "a.b.[31mc",
		"\xc3\xbc \xc3":   "ü .",
		"\x00\x7f\u2028x": ".." + "\u2028x",
	} {
		if got := sanitize([]byte(in)); got != want {
			t.Errorf("sanitize(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestClientLogIsBounded(t *testing.T) {
	gone := 0
	l := clientLog{full: func() { gone++ }}
	for range clientLogEntries + 3 {
		l.add("sid", netip.MustParseAddr("192.0.2.1"), []byte(`{"n":1}`))
	}
	l.add("last", netip.MustParseAddr("192.0.2.1"), make([]byte, clientLogBytes+1))
	entries := l.list()
	if len(entries) != clientLogEntries || gone != 4 || entries[len(entries)-1].ClientID != "last" {
		t.Errorf("%d entries, %d gone, last %+v", len(entries), gone, entries[len(entries)-1])
	}
	if string(entries[len(entries)-1].Body) != `"(too long)"` {
		t.Errorf("kept a long body")
	}
	l.clear()
	if len(l.list()) != 0 {
		t.Error("not cleared")
	}
}
