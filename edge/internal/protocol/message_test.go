package protocol

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"hydrant/umf"
)

var (
	router = []byte(`"R@hydra-router:/"`)
	noon   = time.Date(2026, 1, 12, 12, 0, 0, 0, time.UTC)
	anyMid = regexp.MustCompile(`"mid":"[0-9a-f-]{36}"`)
)

func TestMessage(t *testing.T) {
	for _, test := range []struct {
		message Message
		want    string
	}{
		{
			Message{To: ClientAddress("ID"), Type: TypeConnection, Body: []byte(`{"id":"ID"}`)},
			`{"to":"ID@client:/","frm":"R@hydra-router:/","mid":"-","ts":"2026-01-12T12:00:00.000Z","typ":"connection","ver":"UMF/1.4.6","bdy":{"id":"ID"}}`,
		},
		{
			Message{ToRaw: []byte(`"a:/"`), From: NoSender, RMid: []byte(`7`), Type: TypePong, Body: []byte(PongBody)},
			`{"to":"a:/","mid":"-","rmid":7,"ts":"2026-01-12T12:00:00.000Z","typ":"pong","ver":"UMF/1.4.6","bdy":{"typ":"pong"}}`,
		},
		{
			Message{To: ClientAddress("ID"), Type: TypeGap, Headers: AppendSequence(nil, nil, 7, 5), Body: AppendGap(nil, 6, 7, "overflow", 0)},
			`{"to":"ID@client:/","frm":"R@hydra-router:/","hdr":{"x-seq":"7","x-prev":"5"},"mid":"-","ts":"2026-01-12T12:00:00.000Z","typ":"gap","ver":"UMF/1.4.6","bdy":{"from":"6","to":"7","why":"overflow"}}`,
		},
		{
			Message{ToRaw: []byte(`"ID@client:/"`), From: []byte(`"svc:[GET]/p"`), RMid: []byte(`"m"`), Body: []byte(`{}`)},
			`{"to":"ID@client:/","frm":"svc:[GET]/p","mid":"-","rmid":"m","ts":"2026-01-12T12:00:00.000Z","ver":"UMF/1.4.6","bdy":{}}`,
		},
	} {
		text := test.message.Append(nil, router, noon)
		if got := anyMid.ReplaceAllString(string(text), `"mid":"-"`); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if !json.Valid(text) {
			t.Errorf("no JSON: %s", text)
		}
	}
}

func TestBodies(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{string(AppendError(nil, CodeTimeout, "No answer in time")), `{"error":"No answer in time","code":"timeout"}`},
		{string(AppendError(nil, CodeInvalid, `"`)), `{"error":"\"","code":"invalid_message"}`},
		{string(AppendNoInstances(nil, "svc")), `{"reason":"Unavailable svc instances","code":"no_instances"}`},
		{string(AppendGap(nil, 13, 31, "expired", 0)), `{"from":"13","to":"31","why":"expired"}`},
		{string(AppendGap(nil, 13, 13, "expired", 1)), `{"from":"13","to":"13","why":"expired","lost":1}`},
		{string(AppendAccepted(nil, time.Time{})), `{}`},
		{string(AppendAccepted(nil, noon)), `{"exp":1768219200000}`},
		{string(AppendLocation(nil, "R", "ID")), `{"routerID":"R","clientID":"ID"}`},
		{string(AppendLocation(nil, "", `a"b`)), `{"routerID":"","clientID":"a\"b"}`},
		{string(AppendVia(nil, "R", "ID", "hydra-router")), `"R-ID@hydra-router:/"`},
		{string(AppendRouter(nil, "R", "hydra-router")), `"R@hydra-router:/"`},
	} {
		if test.got != test.want {
			t.Errorf("got  %s\nwant %s", test.got, test.want)
		}
	}
}

func TestAppendSequence(t *testing.T) {
	for _, test := range []struct{ headers, want string }{
		{"", `{"x-seq":"7","x-prev":"5"}`},
		{"{}", `{"x-seq":"7","x-prev":"5"}`},
		{"{ }", `{"x-seq":"7","x-prev":"5"}`},
		{`"text"`, `{"x-seq":"7","x-prev":"5"}`},
		{`{"a":"b"}`, `{"a":"b","x-seq":"7","x-prev":"5"}`},
	} {
		got := string(AppendSequence(nil, []byte(test.headers), 7, 5))
		if got != test.want {
			t.Errorf("headers %s: %s, want %s", test.headers, got, test.want)
		}
	}
	var forged map[string]string
	text := AppendSequence(nil, []byte(`{"x-seq":"999"}`), 7, 5)
	if err := json.Unmarshal(text, &forged); err != nil || forged["x-seq"] != "7" {
		t.Errorf("a sender's x-seq counts: %s, %v", text, err)
	}
}

func TestWelcome(t *testing.T) {
	plain := Welcome{ID: "abc", IP: "127.0.0.1", TTL: time.Hour, Heartbeat: 25 * time.Second, Window: 256}
	full := plain
	second := plain
	second.Second, second.Now = true, noon
	renewing := second
	renewing.Renews, renewing.Expires, renewing.User = true, noon.Add(time.Minute), `a"b`
	full.Auth, full.Token, full.Heartbeat = []byte(`{"identity":"me"}`), "secret", 1500*time.Millisecond
	const fields = `{"id":"abc","ip":"127.0.0.1","caps":["resume","ack"],"ttl":3600,"hb":25,"win":256`
	for _, test := range []struct{ got, want string }{
		{string(plain.Append(nil)), fields + `}`},
		{string(plain.AppendAnswer(nil, Resumed)), fields + `,"resumed":true,"why":null}`},
		{string(plain.AppendAnswer(nil, ResumeExpired)), fields + `,"resumed":false,"why":"expired"}`},
		{string(plain.AppendAnswer(nil, ResumeToken)), fields + `,"resumed":false,"why":"token"}`},
		{string(plain.AppendAnswer(nil, ResumeIdentity)), fields + `,"resumed":false,"why":"identity"}`},
		{string(full.Append(nil)), `{"id":"abc","ip":"127.0.0.1","authResponse":{"identity":"me"},"token":"secret",` +
			`"caps":["resume","ack"],"ttl":3600,"hb":1.5,"win":256}`},
		{string(second.Append(nil)), `{"id":"abc","ip":"127.0.0.1","caps":["resume","ack","accepted"],"ttl":3600,"hb":25,"win":256,"now":1768219200000}`},
		{string(renewing.AppendAnswer(nil, Resumed)), `{"id":"abc","ip":"127.0.0.1","caps":["resume","ack","accepted","auth"],"ttl":3600,"hb":25,"win":256,` +
			`"now":1768219200000,"user":"a\"b","exp":1768219260000,"resumed":true,"why":null}`},
	} {
		if test.got != test.want {
			t.Errorf("got  %s\nwant %s", test.got, test.want)
		}
	}
}

func TestAnswerBody(t *testing.T) {
	var e umf.Envelope
	for _, test := range []struct{ data, want string }{
		{"", "{}"},
		{`{"to":"a:/","frm":"b:/","bdy":{"x":1}}`, `{"x":1}`},
		{`{"to":"a:/","frm":"b:/","bdy":0}`, `0`},
		{`{"to":"a:/","frm":"b:/","bdy":false}`, `false`},
		{`{"to":"a:/","frm":"b:/","bdy":""}`, `""`},
		{`{"to":"a:/","frm":"b:/","bdy":null}`, `null`},
		{`{"statusCode":200,"result":{"x":1}}`, `{"x":1}`},
		{`{"x":1}`, `"{\"x\":1}"`},
		{`{"result":1,"Result":2}`, `1`},
		{`{"Result":1}`, `"{\"Result\":1}"`},
		{"plain text", `"plain text"`},
		{"\xff\xfe", "{}"},
	} {
		if got := string(AnswerBody(&e, []byte(test.data))); got != test.want {
			t.Errorf("AnswerBody(%q) = %s, want %s", test.data, got, test.want)
		}
	}
}
