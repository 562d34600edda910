package umf

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	fullShort = `{"to":"a:/","frm":"b:/","hdr":{"h":"1"},"mid":"m","rmid":"r","sig":"s","tmo":9,"ts":"t","typ":"y","ver":"v",` +
		`"via":"n-s@hydra-router:/","fwd":"f:/","bdy":{"x":1.0},"aut":"z","pri":"10","ttl":"300","for":"w","A":[1],"rmi":"q"}`
	fullLong = `{"to":"a:/","from":"b:/","headers":{"h":"1"},"mid":"m","rmid":"r","signature":"s","timeout":9,"timestamp":"t","type":"y","version":"v",` +
		`"via":"n-s@hydra-router:/","forward":"f:/","body":{"x":1.0},"authorization":"z","priority":"10","ttl":"300","for":"w","A":[1],"rmi":"q"}`
)

func fullMessage() *Message {
	return &Message{
		To: "a:/", From: "b:/", Headers: json.RawMessage(`{"h":"1"}`), Mid: "m", Rmid: "r", Signature: "s",
		Timeout: json.RawMessage(`9`), Timestamp: "t", Type: "y", Version: "v", Via: "n-s@hydra-router:/", Forward: "f:/",
		Body: json.RawMessage(`{"x":1.0}`), Authorization: "z", Priority: json.RawMessage(`"10"`), TTL: json.RawMessage(`"300"`),
		For: "w", Extra: map[string]json.RawMessage{"rmi": json.RawMessage(`"q"`), "A": json.RawMessage(`[1]`)},
	}
}

func mustParse(t tester, text string) *Message {
	t.Helper()
	m, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return m
}

func TestMessageForms(t *testing.T) {
	m := fullMessage()
	short, err := m.AppendShort([]byte("x"))
	if err != nil || string(short) != "x"+fullShort {
		t.Errorf("short form: %s, %v", short, err)
	}
	long, err := m.LongJSON()
	if err != nil || string(long) != fullLong {
		t.Errorf("long form: %s, %v", long, err)
	}
	for _, text := range []string{fullShort, fullLong} {
		if got := mustParse(t, text); !reflect.DeepEqual(got, m) {
			t.Errorf("Parse(%s)\n got %+v\nwant %+v", text, got, m)
		}
	}
	marshalled, err := json.Marshal(map[string]any{"v": m})
	if err != nil || string(marshalled) != `{"v":`+fullShort+`}` {
		t.Errorf("json.Marshal: %s, %v", marshalled, err)
	}
	var holder struct{ V *Message }
	if err := json.Unmarshal(marshalled, &holder); err != nil || !reflect.DeepEqual(holder.V, m) {
		t.Errorf("json.Unmarshal: %+v, %v", holder.V, err)
	}
	if empty, err := (&Message{}).AppendShort(nil); string(empty) != `{}` || err != nil {
		t.Errorf("empty: %s, %v", empty, err)
	}
}

// TestParseCopies: a message does not change with the bytes it was read from.
func TestParseCopies(t *testing.T) {
	text := []byte(fullLong)
	m, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	if !reflect.DeepEqual(m, fullMessage()) {
		t.Errorf("changed to %+v", m)
	}
	m.Body = append(m.Body, "overwritten?"...)
	if m.Authorization != "z" || string(m.Priority) != `"10"` {
		t.Error("appending to the body changed other fields")
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{``, `null`, `[]`, `{"to":}`, `{} {}`} {
		var syntax *SyntaxError
		if m, err := Parse([]byte(text)); m != nil || !errors.As(err, &syntax) {
			t.Errorf("Parse(%s): %v, %v", text, m, err)
		}
	}
}

// TestOddValues: values of a type that UMF does not have there survive.
func TestOddValues(t *testing.T) {
	tests := map[string]string{ // "" means unchanged
		`{"mid":5,"typ":{"a":1},"bdy":1}`:       ``,
		`{"frm":"a\udc00b","mid":"\ud800"}`:     ``,
		`{"mid":"\u0041\/"}`:                    `{"mid":"A/"}`,
		`{"mid":null,"typ":"","tmo":0}`:         `{"tmo":0}`,
		`{"mid":"` + "\ufffd" + `"}`:            ``,
		`{"type":["x"],"typ":"y"}`:              `{"typ":["x"]}`,
		`{"to":"a","x":1,"x":2,"\u0078":3}`:     `{"to":"a","x":3}`,
		`{"body":{"a":1,"a":2},"hdr":"no obj"}`: `{"hdr":"no obj","bdy":{"a":1,"a":2}}`,
	}
	for text, want := range tests {
		if want == "" {
			want = text
		}
		m := mustParse(t, text)
		if got, err := m.AppendShort(nil); string(got) != want || err != nil {
			t.Errorf("%s\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
	m := mustParse(t, `{"mid":5,"typ":6,"via":7}`)
	m.Mid = "changed"
	if got, _ := m.AppendShort(nil); string(got) != `{"mid":"changed","typ":6,"via":7}` {
		t.Errorf("after a change: %s", got)
	}
}

func TestNew(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	m, err := New("svc:/", "me:/", map[string]any{"a": "<b>"})
	if err != nil {
		t.Fatal(err)
	}
	if m.To != "svc:/" || m.From != "me:/" || string(m.Body) != `{"a":"<b>"}` || m.Version != "UMF/1.4.6" {
		t.Errorf("made %+v", m)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(m.Mid) {
		t.Errorf("mid %q", m.Mid)
	}
	stamp, err := time.Parse(time.RFC3339Nano, m.Timestamp)
	if err != nil || stamp.Before(before) || stamp.After(time.Now()) || len(m.Timestamp) != len("2026-01-12T20:16:29.157Z") {
		t.Errorf("timestamp %q", m.Timestamp)
	}
	other, err := New("svc:/", "me:/", nil)
	if err != nil || string(other.Body) != `{}` || other.Mid == m.Mid {
		t.Errorf("made %+v, %v", other, err)
	}
	if raw, err := New("svc:/", "me:/", json.RawMessage(`[1.0]`)); err != nil || string(raw.Body) != `[1.0]` {
		t.Errorf("made %+v, %v", raw, err)
	}
	for name, bad := range map[string]struct {
		to, from string
		body     any
	}{
		"no to": {"", "me:/", 1}, "no from": {"svc:/", "", 1},
		"raw body": {"svc:/", "me:/", json.RawMessage(`{`)},
		"no JSON":  {"svc:/", "me:/", func() {}}, "no raw body": {"svc:/", "me:/", json.RawMessage(nil)},
	} {
		if m, err := New(bad.to, bad.from, bad.body); err == nil {
			t.Errorf("%s: made %+v", name, m)
		}
	}
}

func TestReply(t *testing.T) {
	request := fullMessage()
	reply, err := request.Reply(map[string]int{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	if reply.Mid == request.Mid || reply.Mid == "" || reply.Timestamp == request.Timestamp {
		t.Errorf("mid %q, timestamp %q", reply.Mid, reply.Timestamp)
	}
	reply.Mid, reply.Timestamp = "", ""
	want := &Message{
		To: "n-s@hydra-router:/", From: "a:/", Rmid: "m", Type: "y", Headers: json.RawMessage(`{"h":"1"}`),
		Timeout: json.RawMessage(`9`), Authorization: "z", Version: CurrentVersion, Body: json.RawMessage(`{"n":1}`),
	}
	if !reflect.DeepEqual(reply, want) {
		t.Errorf("\n got %+v\nwant %+v", reply, want)
	}

	request.Via = ""
	if reply, err = request.Reply(nil); err != nil || reply.To != "b:/" || string(reply.Body) != `{}` {
		t.Errorf("without via: %+v, %v", reply, err)
	}
	reply, err = mustParse(t, `{"to":"a:/","frm":"b:/","mid":5,"bdy":1}`).Reply(1)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := reply.AppendShort(nil); !strings.Contains(string(text), `"rmid":5,`) {
		t.Errorf("to a mid that is a number: %s", text)
	}
	for _, falsy := range []any{0, false, "", json.RawMessage("null")} {
		if _, err := request.Reply(falsy); err != nil {
			t.Errorf("the answer %v: %v", falsy, err)
		}
	}
	if _, err := request.Reply(func() {}); err == nil {
		t.Error("a body that is no JSON is taken")
	}
	if _, err := (&Message{To: "a:/"}).Reply(1); err == nil {
		t.Error("there is an answer to nobody")
	}
}

func TestMessageRawValues(t *testing.T) {
	for _, raw := range []string{`{`, ` `, `1 2`, `1,"to":"x"`, `tru`, "\"\xff\"", `{"a":1}}`, nested(MaxDepth)} {
		for _, f := range []Field{Headers, Timeout, Body, Priority, TTL} {
			m := fullMessage()
			*m.raw(f) = json.RawMessage(raw)
			var bad *FieldError
			if text, err := m.AppendShort([]byte("x")); !errors.As(err, &bad) || bad.Field != f || string(text) != "x" {
				t.Errorf("%v is %.20q: %s, %v", f, raw, text, err)
			}
			if err := m.Validate(); !errors.As(err, &bad) {
				t.Errorf("%v is %.20q: Validate: %v", f, raw, err)
			}
		}
		m := fullMessage()
		m.Extra["e"] = json.RawMessage(raw)
		if _, err := m.LongJSON(); !errors.Is(err, ErrExtra) {
			t.Errorf("extra is %.20q: %v", raw, err)
		}
	}
	for _, key := range []string{"to", "frm", "body"} {
		m := fullMessage()
		m.Extra[key] = json.RawMessage(`1`)
		if err := m.Validate(); !errors.Is(err, ErrExtra) {
			t.Errorf("extra %s: %v", key, err)
		}
	}
	m := fullMessage()
	m.Body = json.RawMessage(" {\"a\": 1}\n")
	if err := m.Validate(); err != nil {
		t.Errorf("white space around a value: %v", err)
	}
	m.Body = json.RawMessage(nested(MaxDepth - 1))
	if err := m.Validate(); err != nil {
		t.Errorf("as deep as may be: %v", err)
	}
}

func TestMessageSignature(t *testing.T) {
	m := &Message{To: "a:/", From: "b:/", Body: json.RawMessage(`{"b":1.0,"1":2}`)}
	if err := m.Verify("k"); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	if err := m.Sign(""); !errors.Is(err, ErrNoSecret) || m.Signature != "" {
		t.Errorf("no secret: %v", err)
	}
	if err := m.Sign("k"); err != nil || m.Mid == "" || m.Timestamp == "" || m.Version == "" {
		t.Fatalf("signed %+v, %v", m, err)
	}
	if err := m.Verify("j", "k"); err != nil {
		t.Errorf("signed: %v", err)
	}
	if err := m.Verify("j"); !errors.Is(err, ErrBadSignature) {
		t.Errorf("another key: %v", err)
	}
	long, err := m.LongJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := mustParse(t, string(long)).Verify("k"); err != nil {
		t.Errorf("over the wire: %v", err)
	}
	m.Priority = json.RawMessage(`1`)
	m.Extra = map[string]json.RawMessage{"x": json.RawMessage(`1`)}
	if err := m.Verify("k"); err != nil {
		t.Errorf("what is not signed was changed: %v", err)
	}
	m.Type = "x"
	if err := m.Verify("k"); !errors.Is(err, ErrBadSignature) {
		t.Errorf("changed: %v", err)
	}
	if err := m.Sign("k"); err != nil || m.Verify("k") != nil {
		t.Errorf("signed again: %v", err)
	}
	m.Body = json.RawMessage(`{`)
	if m.Sign("k") == nil || m.Verify("k") == nil {
		t.Error("a message that is no JSON is signed")
	}
	odd := mustParse(t, `{"to":"a:/","frm":"b:/","bdy":1,"sig":5}`)
	if err := odd.Verify("k"); !errors.Is(err, ErrBadSignature) {
		t.Errorf("signature is a number: %v", err)
	}
	if err := odd.Sign("k"); err != nil || odd.Verify("k") != nil {
		t.Errorf("signed over a number: %v", err)
	}
}

func TestHeaders(t *testing.T) {
	m := &Message{}
	if got := m.Header("a"); got != "" {
		t.Errorf("no headers: %q", got)
	}
	for _, h := range [][2]string{{"x-seq", "1"}, {"x-prev", `a"b`}, {"x-seq", "2"}} {
		if err := m.SetHeader(h[0], h[1]); err != nil {
			t.Fatal(err)
		}
	}
	if string(m.Headers) != `{"x-prev":"a\"b","x-seq":"2"}` || m.Header("x-seq") != "2" || m.Header("X-Seq") != "" {
		t.Errorf("headers %s", m.Headers)
	}
	m.Headers = json.RawMessage(`{"n":1,"s":"t"}`)
	if m.Header("n") != "" || m.Header("s") != "t" || m.SetHeader("u", "v") != nil || string(m.Headers) != `{"n":1,"s":"t","u":"v"}` {
		t.Errorf("headers %s", m.Headers)
	}
	m.Headers = json.RawMessage(`[]`)
	var bad *FieldError
	if err := m.SetHeader("u", "v"); !errors.As(err, &bad) || bad.Field != Headers || m.Header("u") != "" {
		t.Errorf("headers are an array: %v", err)
	}
}

func TestTimestamp(t *testing.T) {
	zone := time.FixedZone("", 3600)
	at := time.Date(2026, 1, 12, 21, 16, 29, 157_999_999, zone)
	if got := string(AppendTimestamp([]byte("x"), at)); got != "x2026-01-12T20:16:29.157Z" {
		t.Errorf("timestamp %s", got)
	}
}
