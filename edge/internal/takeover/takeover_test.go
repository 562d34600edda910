package takeover

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/ownership"
)

const (
	testNode = scheme.NodeID("00112233445566778899aabbccddeeff")
	testSID  = scheme.SID("k7abcdefghijklmnopqrstuvwx")
)

// requests are texts that came over the wire, and what they ask; nil: they are none.
var requests = map[string]*Request{
	`{"v":1,"do":"release","sid":"k7abcdefghijklmnopqrstuvwx","fence":"7","attempt":3}`: {Form: 1, Do: "release", SID: testSID, Holder: 7, Attempt: 3},
	`{"v":1,"do":"release","sid":"k7abcdefghijklmnopqrstuvwx","fence":"7"}`:             {Form: 1, Do: "release", SID: testSID, Holder: 7},
	`{"v":1,"do":"release","fence":"7","bare":true}`:                                    {Form: 1, Do: "release", Holder: 7, Bare: true},
	`{"v":1,"do":"release","fence":"7","bare":true,"wait":true}`:                        {Form: 1, Do: "release", Holder: 7, Bare: true, Wait: true},
	`{"v":1,"do":"release","fence":"18446744073709551615"}`:                             {Form: 1, Do: "release", Holder: 1<<64 - 1},
	`{"v":1,"do":"release","of a later version":{"a":[1]}}`:                             {Form: 1, Do: "release"},
	`{"v":1,"do":"release"}`: {Form: 1, Do: "release"},

	`{"v":1,"do":"drain"}`:                                  nil,
	`{"v":1,"do":"Release"}`:                                nil,
	`{"v":1,"sid":"k7abcdefghijklmnopqrstuvwx"}`:            nil,
	`{"v":1,"do":"release","fence":7}`:                      nil,
	`{"v":1,"do":"release","fence":"-1"}`:                   nil,
	`{"v":1,"do":"release","fence":"18446744073709551616"}`: nil,
	`{"v":1,"do":"release","fence":""}`:                     nil,
	`{"v":1,"do":"release","attempt":-1}`:                   nil,
	`{"v":1,"do":"release","sid":1}`:                        nil,
	`{"v":1,"do":"release"} {"v":1,"do":"release"}`:         nil,
	`{"v":1,"do":"release"`:                                 nil,
	`["release"]`:                                           nil,
	`null`:                                                  nil,
	`release`:                                               nil,
	``:                                                      nil,
	`{"do":"release"}`:                                      nil, // of a form without a number
	`{"v":0,"do":"release"}`:                                nil,
	`{"v":-1,"do":"release"}`:                               nil,
}

// newerRequests are what later versions may send.
var newerRequests = []string{
	`{"v":2,"do":"release","sid":"k7abcdefghijklmnopqrstuvwx","fence":"7"}`, `{"v":2}`, `{"v":17,"do":["release"],"sid":{"id":1},"fence":7}`,
}

// TestNewerRequest, R76: a request of a form that a later version will have is told from
// junk, wherever its answer goes if that is a node.
func TestNewerRequest(t *testing.T) {
	for _, text := range newerRequests {
		if got, err := ParseRequest(scheme.NodeInbox+".x", []byte(text)); !errors.Is(err, ErrNewerRequest) || errors.Is(err, ErrRequest) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if got, err := ParseRequest("_INBOX.x", []byte(text)); !errors.Is(err, ErrRequest) {
			t.Errorf("%s, to be answered elsewhere: %+v, %v", text, got, err)
		}
	}
	if got := string(Unread.Append(nil)); got != `{"v":1,"found":false,"floor":0,"seen":0}` {
		t.Errorf("answered with %s", got)
	}
}

// lower is a node that knows requests up to a form.
type lower struct {
	knows, says int
	forms       []int
}

func (l *lower) RequestWithContext(_ context.Context, _ string, data []byte) (*nats.Msg, error) {
	var r Request
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	l.forms = append(l.forms, r.Form)
	answer := Answer{Found: true, Position: scheme.Position{Floor: 3, Seen: 3}}
	if r.Form > l.knows {
		answer = Answer{Form: l.says}
	}
	return &nats.Msg{Data: answer.Append(nil)}, nil
}

// TestAskOfAnOlderNode, R76: who knows a lower form is asked again in that one, and once. An
// answer that does not say what the node has is none.
func TestAskOfAnOlderNode(t *testing.T) {
	for name, test := range map[string]struct {
		node  lower
		forms []int
		reply ownership.Reply
	}{
		"it knows the form":       {lower{knows: 3}, []int{3}, ownership.Given},
		"it knows a lower one":    {lower{knows: 1, says: 1}, []int{3, 1}, ownership.Given},
		"it says so for ever":     {lower{knows: 0, says: 1}, []int{3, 1}, ownership.Silence},
		"it says the same one":    {lower{knows: 2, says: 3}, []int{3}, ownership.Silence},
		"it says a lower one yet": {lower{knows: 0, says: 2}, []int{3, 2}, ownership.Silence},
	} {
		r := NewRequest(Key{testSID, 7}, 0)
		r.Form = 3
		reply, at, err := Ask(t.Context(), &test.node, testNode, r)
		if reply != test.reply || !slices.Equal(test.node.forms, test.forms) || (reply == ownership.Given) != (at.Floor == 3) || (reply == ownership.Silence) != (err != nil) {
			t.Errorf("%s: %v at %+v, %v, asked in the forms %v", name, reply, at, err, test.node.forms)
		}
	}
}

func TestParseRequest(t *testing.T) {
	for text, want := range requests {
		got, err := ParseRequest(scheme.NodeInbox+".x", []byte(text))
		switch {
		case want == nil:
			if !errors.Is(err, ErrRequest) {
				t.Errorf("%s: %+v, %v", text, got, err)
			}
		case err != nil || got != *want:
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, *want)
		case got.Key() != (Key{want.SID, want.Holder}):
			t.Errorf("%s: for %+v", text, got.Key())
		}
	}
}

// TestRequestIsOfANode: what wants its answer elsewhere than a node does is no request.
func TestRequestIsOfANode(t *testing.T) {
	for _, reply := range []string{"", "_INBOX.x", "_INBOX_echo.x", scheme.NodeInbox, "$JS.ACK.UMF_WORK.echo.1.1.1.1.1", "$KV.UMF_SESSIONS." + string(testSID), "_R_.x"} {
		if got, err := ParseRequest(reply, []byte(`{"v":1,"do":"release"}`)); !errors.Is(err, ErrRequest) {
			t.Errorf("%q: %+v, %v", reply, got, err)
		}
	}
}

// TestRequestIsRead: what one node sends is what another one reads.
func TestRequestIsRead(t *testing.T) {
	key := Key{testSID, 1<<63 + 5} // more than a number in JavaScript holds
	text, err := json.Marshal(NewRequest(key, 9))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"v":1,"do":"release","sid":"k7abcdefghijklmnopqrstuvwx","fence":"9223372036854775813","attempt":9}`; string(text) != want {
		t.Errorf("sent as %s, want %s", text, want)
	}
	if got, err := ParseRequest(scheme.NodeInbox+".x", text); err != nil || got.Key() != key || got.Attempt != 9 {
		t.Errorf("read as %+v, %v", got, err)
	}
}

func FuzzParseRequest(f *testing.F) {
	for text := range requests {
		f.Add([]byte(text))
	}
	for _, text := range newerRequests {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRequest(scheme.NodeInbox+".x", text)
		if err != nil {
			if errors.Is(err, ErrRequest) == errors.Is(err, ErrNewerRequest) {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseRequest(scheme.NodeInbox+".x", again); err != nil || got != r {
			t.Fatalf("%q is read as %+v, and written as %s, which is read as %+v, %v", text, r, again, got, err)
		}
	})
}

func TestAnswer(t *testing.T) {
	for want, a := range map[string]Answer{
		`{"found":false,"floor":0,"seen":0}`:                   {},
		`{"found":true,"floor":3,"seen":18446744073709551615}`: {Found: true, Position: scheme.Position{Floor: 3, Seen: 1<<64 - 1}},
		`{"found":true,"floor":0,"seen":0,"declined":true}`:    {Found: true, Declined: true},
		`{"found":true,"floor":0,"seen":0,"asking":true}`:      {Found: true, Asking: true},
		`{"found":true,"floor":0,"seen":0,"live":true}`:        {Found: true, Live: true},
		`{"found":true,"floor":3,"seen":3,"tail":true}`:        {Found: true, Position: scheme.Position{Floor: 3, Seen: 3}, Tail: true},
		`{"found":true,"floor":9007199254740993,"floor_time":1152921504606846977,"seen":9007199254740994,"seen_time":1152921504606846978}`: {Found: true, Position: scheme.Position{Floor: 1<<53 + 1, FloorTime: 1<<60 + 1, Seen: 1<<53 + 2, SeenTime: 1<<60 + 2}},
	} {
		if got := string(a.Append([]byte("before "))); got != "before "+want {
			t.Errorf("%+v: %s", a, got)
		}
	}
}

// asked is a connection that answers every request with text, or fails.
type asked struct {
	text string
	err  error
	wait bool // until the request is given up

	subject string
	request string
}

func (a *asked) RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	a.subject, a.request = subject, string(data)
	if a.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	return &nats.Msg{Data: []byte(a.text)}, nil
}

// TestAsk: what a claim has to reckon with, by what the other node answers. Only an
// answer says how far delivery got, and only silence has a reason.
func TestAsk(t *testing.T) {
	for name, test := range map[string]struct {
		nc     asked
		reply  ownership.Reply
		answer Answer
		why    bool
	}{
		"it hands over":            {nc: asked{text: `{"found":true,"floor":3,"floor_time":30,"seen":5,"seen_time":50}`}, reply: ownership.Given, answer: Answer{Found: true, Position: scheme.Position{Floor: 3, FloorTime: 30, Seen: 5, SeenTime: 50}}},
		"it does not know":         {nc: asked{text: `{"found":false,"floor":3,"seen":5}`}, reply: ownership.Stranger},
		"it keeps it":              {nc: asked{text: `{"found":true,"floor":3,"seen":5,"declined":true}`}, reply: ownership.Declined},
		"it keeps it, oddly":       {nc: asked{text: `{"declined":true}`}, reply: ownership.Declined},
		"it keeps what comes":      {nc: asked{text: `{"found":true,"floor":3,"seen":5,"tail":true}`}, reply: ownership.Given, answer: Answer{Found: true, Position: scheme.Position{Floor: 3, Seen: 5}, Tail: true}},
		"of a later version":       {nc: asked{text: `{"found":true,"floor":3,"seen":5,"new":[1]}`}, reply: ownership.Given, answer: Answer{Found: true, Position: scheme.Position{Floor: 3, Seen: 5}}},
		"it says nothing":          {nc: asked{text: `{}`}, reply: ownership.Stranger},
		"nobody listens":           {nc: asked{err: nats.ErrNoResponders}, reply: ownership.Nobody},
		"the answer is none":       {nc: asked{text: `no`}, reply: ownership.Silence, why: true},
		"the answer is empty":      {nc: asked{}, reply: ownership.Silence, why: true},
		"numbers that are none":    {nc: asked{text: `{"found":true,"floor":-1}`}, reply: ownership.Silence, why: true},
		"there is no connection":   {nc: asked{err: nats.ErrConnectionClosed}, reply: ownership.Silence, why: true},
		"there is no answer":       {nc: asked{wait: true}, reply: ownership.Silence, why: true},
		"NATS says that it waited": {nc: asked{err: nats.ErrTimeout}, reply: ownership.Silence, why: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				reply, answer, err := Ask(t.Context(), &test.nc, testNode, NewRequest(Key{testSID, 7}, 0))
				if reply != test.reply || answer != test.answer || (err != nil) != test.why {
					t.Errorf("%v %+v, %v, want %v %+v", reply, answer, err, test.reply, test.answer)
				}
				if took := time.Since(began); test.nc.wait != (took == ownership.Patience) || took > ownership.Patience {
					t.Errorf("it took %v", took)
				}
				if test.nc.subject != scheme.NodeSubject(testNode) || !strings.Contains(test.nc.request, `"fence":"7"`) {
					t.Errorf("asked on %s for %s", test.nc.subject, test.nc.request)
				}
			})
		})
	}
}

// TestAskOfANodeThatStops: to be told to stop ends the wait.
func TestAskOfANodeThatStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if reply, _, err := Ask(ctx, &asked{wait: true}, testNode, Request{}); reply != ownership.Silence || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", reply, err)
	}
}
